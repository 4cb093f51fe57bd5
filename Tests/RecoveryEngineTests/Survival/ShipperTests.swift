import BlockReplication
import Foundation
import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("The vault's second place")
struct ShipperTests {
    /// A vault on disk that knows the rig's hosts, with a second place, and what ships it.
    private func withVault(
        _ place: (String) -> SecondPlace?, _ body: (Rig, SQLiteVault, VaultShipper, String) async throws -> Void
    ) async throws {
        let folder = "/tmp/perilune-ship-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let rig = try await Rig(vms: [])
        let hosts = try await rig.vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
        let vault = try SQLiteVault.open(path: "\(folder)/vault.db", create: true)
        try await vault.write { vault in for host in hosts { try vault.insert(host) } }
        let second = place("\(folder)/second.db")
        try await vault.changeIdentity(orNew: "not used") { $0.secondPlace = second }
        let connections = FakeConnections(world: rig.world, fuse: Fuse())
        let shipper = try VaultShipper(vault: vault, connections: connections, clock: rig.clock)
        try await body(rig, vault, shipper, "\(folder)/second.db")
    }

    private func note(_ text: String, in vault: any Vault) async throws {
        try await vault.write {
            try $0.append(Event(at: Timestamp(milliseconds: 1), severity: .info, object: nil, text: text))
        }
    }

    private func texts(_ path: String) async throws -> [String] {
        let vault = try SQLiteVault.open(path: path)
        defer { try? vault.close() }
        return try await vault.read { try $0.events(about: nil, limit: 9).map(\.text) }
    }

    @Test("A vault has its identity from the first, so that copies made by hand are known for copies of one")
    func identity() async throws {
        try await withVault({ _ in nil }) { _, vault, shipper, second in
            let id = try #require(try await vault.identity()?.id)
            #expect(id != "not used")
            try await vault.copy(to: second)
            #expect(try SQLiteVault.identity(ofCopyAt: second)?.id == id)
            try await shipper.ship()
        }
    }

    @Test("A file gets all that was committed, is left alone while nothing changes, and comes back when it was lost")
    func file() async throws {
        try await withVault({ .file($0) }) { _, vault, shipper, second in
            #expect(VaultAge.seconds(ofVault: vault.path) == nil)
            try await note("first", in: vault)
            try await shipper.ship()
            #expect(VaultAge.seconds(ofVault: vault.path) != nil)
            #expect(try await texts(second) == ["first"])
            func number() throws -> UInt64? {
                try FileManager.default.attributesOfItem(atPath: second)[.systemFileNumber] as? UInt64
            }
            let before = try number()
            try await shipper.ship()
            #expect(try number() == before, "nothing changed, and it was written anew")
            try await note("later", in: vault)
            try await shipper.ship()
            #expect(try await texts(second) == ["later", "first"])
            try FileManager.default.removeItem(atPath: second)
            try await shipper.ship()
            #expect(try await texts(second) == ["later", "first"])
        }
    }

    @Test("What is no copy of this vault is never written over")
    func strangers() async throws {
        try await withVault({ .file($0) }) { _, vault, shipper, second in
            try Data("letters to my aunt".utf8).write(to: URL(filePath: second))
            await #expect(throws: VaultError.self) { try await shipper.ship() }
            #expect(try String(contentsOfFile: second, encoding: .utf8) == "letters to my aunt")
            try FileManager.default.removeItem(atPath: second)
            try SQLiteVault.open(path: second, create: true).close()
            let other = try SQLiteVault.identity(ofCopyAt: second)?.id
            let error = try await engineError { try await shipper.ship() }
            #expect(error.kind == .refused && error.hint?.contains("--to") == true)
            #expect(try SQLiteVault.identity(ofCopyAt: second)?.id == other)
        }
    }

    @Test(
        "The vault is no second place of its own, under whatever name",
        arguments: ["vault.db", "link.db", "./vault.db"])
    func itself(_ name: String) async throws {
        try await withVault({ .file(($0 as NSString).deletingLastPathComponent + "/x/\(name)") }) {
            _, vault, shipper, second in
            let folder = (second as NSString).deletingLastPathComponent
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/x", withDestinationPath: folder)
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link.db", withDestinationPath: vault.path)
            let error = try await engineError { try await shipper.ship() }
            #expect(error.kind == .refused && error.message.contains("is the vault itself"))
            try await note("still taken", in: vault)
        }
    }

    /// Whether it was promoted from this one, or both were promoted from a third.
    @Test(
        "A copy that was promoted where it was shipped to stays, and this vault stands back", arguments: [false, true])
    func promoted(_ both: Bool) async throws {
        try await withVault({ .file($0) }) { _, vault, shipper, second in
            try await shipper.ship()
            let mark = PromotionMark(id: "p1", place: "beta:\(second)", at: Timestamp(milliseconds: 5))
            let copy = try SQLiteVault.open(path: second)
            try await copy.changeIdentity(orNew: "") { $0.promote(as: mark) }
            try copy.close()
            if both {
                let own = PromotionMark(id: "p2", place: "alpha:\(vault.path)", at: Timestamp(milliseconds: 6))
                try await vault.changeIdentity(orNew: "") { identity in
                    let place = identity.secondPlace
                    identity.promote(as: own)
                    identity.secondPlace = place
                }
            }
            try await note("news", in: vault)
            let error = try #require(await #expect(throws: VaultError.self) { try await shipper.ship() })
            #expect(error.code == .superseded && error.message.contains(mark.place))
            #expect(try SQLiteVault.identity(ofCopyAt: second)?.promotion == mark)
            #expect(try await texts(second) == [])
            #expect(try await vault.identity()?.supersededAs == mark)
            // And it stays so, without another look.
            await #expect(throws: VaultError.self) { try await shipper.ship() }
        }
    }

    @Test("A host's agent keeps a copy that opens as the vault; while nothing changes it is only asked whom it obeys")
    func host() async throws {
        try await withVault({ _ in .host("b") }) { rig, vault, shipper, second in
            try await note("first", in: vault)
            try await shipper.ship()
            let id = try #require(try await vault.identity()?.id)
            func kept() -> [UInt8]? { rig.world.state.withLock { $0.hosts["b"]?.vaultCopies[id] } }
            let bytes = try #require(kept())
            try Data(bytes).write(to: URL(filePath: second))
            #expect(try await texts(second) == ["first"])
            #expect(!FileManager.default.fileExists(atPath: vault.path + ".outgoing"))
            rig.world.change { $0.hosts["b"]?.vaultCopies[id] = nil }
            try await shipper.ship()
            #expect(kept() == nil, "nothing changed, and it was sent again")

            let mark = PromotionMark(id: "p1", place: "beta:/copy", at: Timestamp(milliseconds: 5))
            rig.world.change { state in
                state.hosts["b"]?.vaults[id] = VaultStanding(id: id, epoch: 2, promotion: mark)
            }
            let error = try #require(await #expect(throws: VaultError.self) { try await shipper.ship() })
            #expect(error.code == .superseded)
            #expect(try await vault.identity()?.supersededAs == mark)
        }
    }

    @Test("A second place that is away, or that the vault does not know, is an error each time, and nothing is marked")
    func away() async throws {
        try await withVault({ _ in .host("b") }) { rig, vault, shipper, _ in
            rig.world.cutOff("b")
            await #expect(throws: ReplicationError.self) { try await shipper.ship() }
            #expect(VaultAge.seconds(ofVault: vault.path) == nil)
            rig.world.bringBack("b")
            try await shipper.ship()
            #expect(VaultAge.seconds(ofVault: vault.path) != nil)
            try await vault.changeIdentity(orNew: "") { $0.secondPlace = .host("nowhere") }
            let error = try await engineError { try await shipper.ship() }
            #expect(error.kind == .unknown && error.hint?.contains("--to") == true)
        }
    }

    @Test("Of several processes one ships; the others do not wait for it")
    func oneAtATime() async throws {
        try await withVault({ .file($0) }) { _, vault, shipper, second in
            let lock = open(vault.path + ".shipping", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
            try await shipper.ship()
            #expect(!FileManager.default.fileExists(atPath: second))
            // Closing alone leaves it locked while a program that is just being started holds a copy of the descriptor.
            flock(lock, LOCK_UN)
            close(lock)
            try await shipper.ship()
            #expect(FileManager.default.fileExists(atPath: second))
        }
    }
}
