import Foundation
import SiteModel
import TestSupport
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("A vault that nobody needs any more")
struct VaultDeletionTests {
    /// The files of a folder, after `body` has been given a vault in it.
    private func left(
        _ body: (SQLiteVault, Scratch) async throws -> Void
    ) async throws -> [String] {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let vault = try SQLiteVault.open(path: scratch("vault.db"), create: true)
        try await body(vault, scratch)
        return try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted()
    }

    private func ship(_ vault: SQLiteVault, to place: SecondPlace, _ rig: Rig) async throws {
        try await vault.changeIdentity(orNew: "") { $0.secondPlace = place }
        let connections = FakeConnections(world: rig.world, fuse: Fuse())
        try await VaultShipper(vault: vault, connections: connections, clock: rig.clock).ship()
    }

    @Test("An empty one goes with its copy, its logs and its lock, and another can be made in its place")
    func empty() async throws {
        let rig = try await Rig(vms: [])
        let files = try await left { vault, scratch in
            try await vault.write {
                try $0.append(Event(at: Timestamp(milliseconds: 1), severity: .info, object: nil, text: "once"))
            }
            try await ship(vault, to: .file(scratch("second.db")), rig)
            #expect(try await VaultDeletion(vault).delete().copy == scratch("second.db"))
        }
        #expect(files == [])
        let again = try await left { vault, _ in
            _ = try await VaultDeletion(vault).delete()
            try SQLiteVault.open(path: vault.path, create: true).close()
        }
        #expect(again.contains("vault.db"))
    }

    @Test("One that holds a host stays whole, and says what it holds")
    func full() async throws {
        let rig = try await Rig(vms: [])
        let host = try #require(try await rig.vault.read { try $0.objects(SiteModel.Host.self).first?.value })
        let files = try await left { vault, scratch in
            try await vault.write { try $0.insert(host) }
            try await ship(vault, to: .file(scratch("second.db")), rig)
            let error = try await engineError { _ = try await VaultDeletion(vault).delete() }
            #expect(error.rule == "vault-not-empty" && error.message.contains("host a"))
            // It works on, and others may open it again.
            let other = try SQLiteVault.open(path: vault.path)
            #expect(try await other.read { try $0.objects(SiteModel.Host.self).count } == 1)
            try other.close()
        }
        #expect(files.contains("vault.db") && files.contains("second.db"))
    }

    @Test("One that another process has open, or whose copy was promoted, stays")
    func inUse() async throws {
        let rig = try await Rig(vms: [])
        let files = try await left { vault, scratch in
            let other = try SQLiteVault.open(path: vault.path)
            let locked = await #expect(throws: VaultError.self) { _ = try await VaultDeletion(vault).delete() }
            #expect(locked?.code == .locked)
            try other.close()
            try await ship(vault, to: .file(scratch("second.db")), rig)
            let copy = try SQLiteVault.open(path: scratch("second.db"))
            try await copy.changeIdentity(orNew: "") {
                $0.promote(as: PromotionMark(id: "p", place: "beta:/second", at: Timestamp(milliseconds: 5)))
            }
            try copy.close()
            let superseded = await #expect(throws: VaultError.self) { _ = try await VaultDeletion(vault).delete() }
            #expect(superseded?.code == .superseded)
        }
        #expect(files.contains("vault.db") && files.contains("second.db"))
    }

    @Test("Another vault's file at the second place is left alone")
    func stranger() async throws {
        let files = try await left { vault, scratch in
            try SQLiteVault.open(path: scratch("other.db"), create: true).close()
            try await vault.changeIdentity(orNew: "") { $0.secondPlace = .file(scratch("other.db")) }
            #expect(try await VaultDeletion(vault).delete().copy == nil)
        }
        #expect(files.contains("other.db") && !files.contains("vault.db"))
    }

    @Test("A host is not removed while it is the vault's second place")
    func secondPlace() async throws {
        let rig = try await Rig(vms: [], thirdHost: false)
        let host = SiteModel.Host(
            id: "c", name: "c", site: "c", uri: "fake:///c", agentSocket: "/c/agent.sock", agentAddress: "c:7731",
            store: "/store")
        try await rig.engine.ensureHost(host)
        try await rig.vault.changeIdentity(orNew: "vault") { $0.secondPlace = .host("c") }
        let error = try await engineError { try await rig.engine.removeHost(host) }
        #expect(error.rule == "still-in-use" && error.message.contains("vault ship --to"))
        try await rig.vault.changeIdentity(orNew: "vault") { $0.secondPlace = nil }
        try await rig.engine.removeHost(host)
    }
}
