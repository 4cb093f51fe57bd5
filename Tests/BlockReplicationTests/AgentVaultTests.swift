import Foundation
import SiteModel
import Testing

@testable import BlockReplication

@Suite("What an agent keeps of vaults, and of VMs that are protected no more")
struct AgentVaultTests {
    private func mark(_ id: String) -> PromotionMark {
        PromotionMark(id: id, place: "alpha:/\(id).db", at: Timestamp(milliseconds: 1_700_000_000_000))
    }

    private func record(epoch: Int, owner: String, vault: VaultStanding? = nil) -> OwnershipRecord {
        var record = OwnershipRecord(relationship: "orders", vmUUID: "u", owner: owner, epoch: epoch, host: "b")
        record.vault = vault
        return record
    }

    @Test("The promotion that it obeys outlives it, and the refusal over the wire names the copy that counts")
    func promotion() async throws {
        try await TwoSites.with { sites in
            let one = VaultStanding(id: "vault", epoch: 2, promotion: mark("one"))
            let two = VaultStanding(id: "vault", epoch: 2, promotion: mark("two"))
            try await sites.clientB.attend(one)
            try await sites.clientB.recordOwnership(record(epoch: 1, owner: "a", vault: one))
            let error = await #expect(throws: ReplicationError.self) { try await sites.clientB.attend(two) }
            #expect(error?.obeyed?.epoch == 2 && error?.obeyed?.promotion == mark("one"))
            #expect(error?.message.contains("alpha:/one.db since 2023-11-14") == true)

            // Nobody asked before this order: it is refused all the same, and nothing is written.
            let order = await #expect(throws: ReplicationError.self) {
                try await sites.clientB.recordOwnership(record(epoch: 2, owner: "b", vault: two))
            }
            #expect(order?.obeyed?.promotion == mark("one"))
            #expect(
                try await sites.clientB.ownership(relationship: "orders") == record(epoch: 1, owner: "a", vault: one))
            let part = VaultPart(vault: two, offset: 0, data: Data([1]), isLast: true)
            #expect(await code { try await sites.clientB.keepVault(part) } == .staleEpoch)

            let anew = try AgentService(site: "b", store: sites.file("b/store"), address: "127.0.0.1:1")
            #expect(await code { try await anew.attend(two) } == .staleEpoch)
            let heir = VaultStanding(id: "vault", epoch: 3, promotion: mark("three"), heirTo: ["two", "one"])
            try await anew.attend(heir)
            #expect(VaultStanding.known(inStore: sites.file("b/store")) == [heir])
            #expect(await code { try await anew.attend(one) } == .staleEpoch)
        }
    }

    @Test("A standing that cannot be read is not taken for none")
    func damaged() async throws {
        try await TwoSites.with { sites in
            try Data("{".utf8).write(to: URL(filePath: sites.file("b/store/vault/vault.json")))
            #expect(await code { try await sites.clientB.attend(VaultStanding(id: "vault", epoch: 9)) } == .damaged)
            #expect(VaultStanding.known(inStore: sites.file("b/store")) == [])
            #expect(
                await code { try await sites.clientB.attend(VaultStanding(id: "../x", epoch: 9)) } == .invalidArgument)
        }
    }

    @Test("A copy takes the place of the one before when its last part has come, and not before")
    func copy() async throws {
        try await TwoSites.with { sites in
            let path = sites.file("b/store/vault/vault.db")
            func keep(_ offset: UInt64, _ bytes: [UInt8], isLast: Bool = false) async throws {
                try await sites.clientB.keepVault(
                    VaultPart(
                        vault: VaultStanding(id: "vault", epoch: 1), offset: offset, data: Data(bytes), isLast: isLast))
            }
            try await keep(0, [1, 2, 3], isLast: true)
            try await keep(0, [4, 5])
            #expect(try Data(contentsOf: URL(filePath: path)) == Data([1, 2, 3]))
            #expect(await code { try await keep(3, [6], isLast: true) } == .protocolViolation)
            try await keep(2, [6], isLast: true)
            #expect(try Data(contentsOf: URL(filePath: path)) == Data([4, 5, 6]))
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
    }

    @Test("Points that stay when protection ends are marked so until there is a new point")
    func released() async throws {
        try await TwoSites.with { sites in
            let (first, second) = (TwoSites.generation(1), TwoSites.generation(2))
            let image = try await sites.makeImage("disk", mebibytes: 4)
            try await sites.cycle(first, after: nil, [.stopped(image, mebibytes: 4, .everything)])
            func manifest() throws -> Manifest {
                try PointStore.readManifest(root: sites.file("b/store/points"), relationship: sites.relationship)
            }
            #expect(try manifest().releasedAt == nil)
            try await sites.clientB.forgetOwnership(relationship: sites.relationship)
            let at = try #require(try manifest().releasedAt)
            #expect(try manifest().points.map(\.generation) == [first])
            try await sites.clientB.forgetOwnership(relationship: sites.relationship)
            #expect(try manifest().releasedAt == at, "the first time counts")
            // Where there is no store, there is nothing to mark.
            try await sites.clientA.forgetOwnership(relationship: sites.relationship)
            try await sites.cycle(second, after: first, [.stopped(image, mebibytes: 4, .everything)], number: 2)
            #expect(try manifest().releasedAt == nil)
        }
    }

    @Test("Disks that are adopted begin anew: the points to come are of a VM that is protected")
    func adopted() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 4)
            try await sites.cycle(TwoSites.generation(1), after: nil, [.stopped(image, mebibytes: 4, .everything)])
            try await sites.clientB.forgetOwnership(relationship: sites.relationship)
            try await sites.clientB.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: 4 << 20, image: image)])
            let manifest = try PointStore.readManifest(
                root: sites.file("b/store/points"), relationship: sites.relationship)
            #expect(manifest.releasedAt == nil && manifest.points.isEmpty)
        }
    }
}
