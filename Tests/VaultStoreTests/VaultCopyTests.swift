import Foundation
import SiteModel
import TestSupport
import Testing

@testable import VaultStore

/// Copies of a vault, whole whenever they are looked at.
@Suite("Copies of a vault")
struct VaultCopyTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        try await body(scratch.path)
    }

    @Test("A copy opens as a vault, has all that was committed, and carries the vault's identity")
    func copy() async throws {
        try await withFolder { folder in
            let vault = try SQLiteVault.open(path: "\(folder)/vault.db", create: true)
            let identity = try await vault.changeIdentity(orNew: "no other") {
                $0.secondPlace = .file("\(folder)/second.db")
            }
            #expect(identity.id != "no other", "a vault has an identity from the first")
            try await vault.write {
                try $0.append(Event(at: Timestamp(milliseconds: 1), severity: .info, object: nil, text: "first"))
            }
            try await vault.copy(to: "\(folder)/second.db")
            #expect(try SQLiteVault.identity(ofCopyAt: "\(folder)/second.db") == identity)
            try await vault.write {
                try $0.append(Event(at: Timestamp(milliseconds: 2), severity: .info, object: nil, text: "later"))
            }
            try await vault.copy(to: "\(folder)/second.db")
            let copy = try SQLiteVault.open(path: "\(folder)/second.db")
            #expect(try await copy.read { try $0.events(about: nil, limit: 9).map(\.text) } == ["later", "first"])
            #expect(try await copy.problems() == [])
            let mode =
                try FileManager.default.attributesOfItem(atPath: "\(folder)/second.db")[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
    }

    @Test(
        "A vault whose file is gone, or has another in its place, takes and tells nothing more",
        arguments: [true, false])
    func vanished(_ replaced: Bool) async throws {
        try await withFolder { folder in
            let vault = try SQLiteVault.open(path: "\(folder)/vault.db", create: true)
            let event = Event(at: Timestamp(milliseconds: 1), severity: .info, object: nil, text: "first")
            try await vault.write { try $0.append(event) }
            if replaced {
                try await vault.copy(to: vault.path)
            } else {
                try FileManager.default.removeItem(atPath: vault.path)
            }
            for _ in 1...2 {
                let told = await #expect(throws: VaultError.self) { _ = try await vault.identity() }
                let taken = await #expect(throws: VaultError.self) { try await vault.write { try $0.append(event) } }
                #expect(told?.code == .vanished && taken?.code == .vanished)
            }
        }
    }

    @Test("A copy is of one instant, whatever is written meanwhile")
    func oneInstant() async throws {
        try await withFolder { folder in
            let vault = try SQLiteVault.open(path: "\(folder)/vault.db", create: true)
            let writer = Task {
                for number in 1...200 {
                    try await vault.write { vault in
                        // Two events in one transaction: a copy has both or neither.
                        for half in ["a", "b"] {
                            try vault.append(
                                Event(
                                    at: Timestamp(milliseconds: Int64(number)), severity: .info, object: half,
                                    text: "\(number)"))
                        }
                    }
                }
            }
            for round in 1...5 {
                let place = "\(folder)/copy\(round).db"
                try await vault.copy(to: place)
                let copy = try SQLiteVault.open(path: place)
                let halves = try await copy.read { vault in
                    (try vault.events(about: "a", limit: 999).count, try vault.events(about: "b", limit: 999).count)
                }
                #expect(halves.0 == halves.1)
            }
            try await writer.value
        }
    }

    @Test("A file that is no vault is not taken for a copy of one")
    func strange() async throws {
        try await withFolder { folder in
            #expect(try SQLiteVault.identity(ofCopyAt: "\(folder)/none.db") == nil)
            try "something of yours".write(toFile: "\(folder)/mine.txt", atomically: true, encoding: .utf8)
            #expect(throws: VaultError.self) { try SQLiteVault.identity(ofCopyAt: "\(folder)/mine.txt") }
        }
    }

    @Test("A change by another process shows, and none shows without one")
    func changes() async throws {
        try await withFolder { folder in
            let vault = try SQLiteVault.open(path: "\(folder)/vault.db", create: true)
            let probe = try VaultProbe(vault)
            let before = try vault.changes(probe)
            #expect(try vault.changes(probe) == before)
            let other = try SQLiteVault.open(path: "\(folder)/vault.db")
            try await other.write {
                try $0.append(Event(at: Timestamp(milliseconds: 1), severity: .info, object: nil, text: "x"))
            }
            #expect(try vault.changes(probe) != before)
        }
    }
}
