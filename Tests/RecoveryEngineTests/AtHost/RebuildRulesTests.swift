import Foundation
import Hypervisors
import SiteModel
import Testing
import VaultStore

@testable import BlockReplication
@testable import RecoveryEngine

@Suite("What a vault that is made anew concludes, and what it only says that it does not know")
struct RebuildRulesTests {
    private func rig() async throws -> Rig { try await Undertaking.unplannedFailover.rig(points: 2) }

    /// What the target's store holds of the VM, as `read` finds it.
    private func find(_ rig: Rig, vm: String = "orders", at host: String = "b") async throws -> VaultRebuild.Find {
        let manifest = try await rig.manifest(vm)
        return VaultRebuild.Find(
            store: "/store", manifest: manifest,
            record: rig.world.store(manifest.relationship, at: host).ownership)
    }

    private func rebuild(
        _ rig: Rig, _ finds: [VaultRebuild.Find]
    ) async throws -> (MemoryVault, VaultRebuild.Report, Relationship?) {
        let vault = MemoryVault()
        let report = try await VaultRebuild(clock: rig.clock, identifiers: rig.identifiers, place: "here")
            .rebuild(from: finds, into: vault)
        let found = try await vault.read { try $0.objects(Relationship.self).first?.value }
        return (vault, report, found)
    }

    private func hostFailover(_ rig: Rig) async throws {
        rig.world.lose("a")
        let failover = HostFailover(
            hypervisor: FakeHypervisor(world: rig.world, host: "b", fuse: Fuse()),
            agent: FakeAgent(world: rig.world, host: "b", fuse: Fuse()),
            fencing: FakeFencing(world: rig.world, fuse: Fuse()), clock: rig.clock,
            manifests: [try await rig.manifest()], runsAtSource: { _, _ in nil })
        _ = try await failover.run(vm: "orders", source: .declaredLost, point: "latest", networks: [:])
    }

    // MARK: Ownership

    @Test("A VM at the epoch of its newest point is protected as it was; its change map is not trusted")
    func protected() async throws {
        let rig = try await rig()
        let (vault, report, found) = try await rebuild(rig, [try await find(rig)])
        let relationship = try #require(found)
        #expect(relationship.state == .protected && relationship.owner == "a" && relationship.epoch == 1)
        #expect(relationship.checkpoint == nil && report.points == 3 && report.restored == ["orders"])
        _ = try await rig.engine(over: vault).perform(.sync, on: relationship.id)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(rig.world.violations == [])
    }

    @Test("A VM that its host failed over is failed over in the new vault, and is brought home with nothing lost")
    func failedOver() async throws {
        let rig = try await rig()
        try await hostFailover(rig)
        let (vault, report, found) = try await rebuild(rig, [try await find(rig)])
        let relationship = try #require(found)
        #expect(relationship.state == .failedOver && relationship.owner == "b" && relationship.epoch == 2)
        #expect(relationship.failover?.sourceVerdict == .declared && relationship.failover?.planned == false)
        #expect(relationship.checkpoint == "perilune-boot-2")
        #expect(report.unknown.contains { $0.contains("commit it again") })
        rig.world.bringBack("a")
        rig.world.write("orders", at: "b", [7: 700])
        let engine = rig.engine(over: vault)
        _ = try await engine.perform(.commit, on: relationship.id)
        _ = try await engine.perform(.reverse, on: relationship.id)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    @Test("A checkpoint that the host says is lost is not made up")
    func lostCheckpoint() async throws {
        let rig = try await rig()
        try await hostFailover(rig)
        var found = try await find(rig)
        found.record?.claim?.checkpoint = nil
        #expect(try await rebuild(rig, [found]).2?.checkpoint == nil)
    }

    @Test("Of a failover that the lost vault made, its host knows whether it was planned, and how the source was down")
    func vaultsFailover() async throws {
        let rig = try await rig()
        // Not the record that travelled with the newest point: that is of before.
        let before = try await rig.manifest()
        try await rig.run(.plannedFailover)
        var found = try await find(rig)
        found.manifest.context = before.context
        let relationship = try #require(try await rebuild(rig, [found]).2)
        #expect(relationship.state == .failedOver && relationship.epoch == 2)
        #expect(relationship.failover?.planned == true && relationship.failover?.sourceVerdict == .proven)
    }

    @Test("An ownership that went on in a way that nothing tells is said, not guessed")
    func unknownOwnership() async throws {
        let rig = try await rig()
        var found = try await find(rig)
        found.record?.epoch = 4
        let (_, report, relationship) = try await rebuild(rig, [found])
        #expect(relationship?.epoch == 4 && relationship?.checkpoint == nil && relationship?.failover == nil)
        #expect(report.unknown.contains { $0.contains("look at both hosts") })
    }

    // MARK: Which manifest counts

    @Test("Of two manifests of one VM the later ownership counts, and then the newer point")
    func best() async throws {
        let rig = try await rig()
        let newer = try await find(rig)
        var older = newer
        older.store = "/old"
        older.manifest.points.removeLast()
        #expect(try await rebuild(rig, [newer, older]).1.points == 3)
        older.manifest.epoch = 2
        #expect(try await rebuild(rig, [newer, older]).1.points == 2)
    }

    @Test(
        "A second relationship of one VM is left out by name; one of an older version is told of, and its points stay")
    func leftOut() async throws {
        let rig = try await rig()
        let first = try await find(rig)
        var second = first
        second.manifest.relationship = "zzz"
        second.record = nil
        var site = try #require(SiteRecord(text: first.manifest.context))
        site.relationship.id = "zzz"
        second.manifest.context = try site.text()
        var old = first
        old.manifest.relationship = "old"
        (old.manifest.vmName, old.manifest.context) = ("stock", nil)
        let (_, report, _) = try await rebuild(rig, [second, first, old])
        #expect(report.restored == ["orders"] && report.points == 3)
        #expect(report.unknown.contains { $0.contains("another relationship, zzz") })
        #expect(report.unknown.contains { $0.hasPrefix("stock") && $0.contains("protect it anew") })
    }

    @Test("A vault that has anything in it is never written over, and nothing of it is changed")
    func notEmpty() async throws {
        let rig = try await rig()
        let found = try await find(rig)
        let before = try await rig.vault.read { try $0.changeNumber() }
        let error = try await engineError {
            _ = try await VaultRebuild(clock: rig.clock, identifiers: rig.identifiers, place: "here")
                .rebuild(from: [found], into: rig.vault)
        }
        #expect(error.message.contains("not empty"))
        #expect(try await rig.vault.read { try $0.changeNumber() } == before)
    }

    @Test("What a store holds is read; points that were given up, and what cannot be read, are told of and left out")
    func stores() async throws {
        let rig = try await Rig(vms: ["orders", "stock", "mail"])
        let store = "/tmp/perilune-stores-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: store) }
        for vm in ["orders", "stock", "mail"] {
            try await rig.protect(vm)
            var manifest = try await rig.manifest(vm)
            manifest.points = []
            manifest.disks = []
            if vm == "stock" { manifest.releasedAt = Timestamp(milliseconds: 1_700_000_000_000) }
            let folder = "\(store)/points/\(manifest.relationship)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let data = vm == "mail" ? Data("{".utf8) : try JSONEncoder().encode(manifest)
            try data.write(to: URL(filePath: "\(folder)/manifest.json"))
        }
        let (finds, troubles) = try VaultRebuild.read(stores: [store, "\(store)/none"])
        #expect(finds.map(\.manifest.vmName) == ["orders"])
        #expect(troubles.count == 3)
        #expect(troubles.contains { $0.hasPrefix("stock") && $0.contains("not been protected since 2023-11-14") })
        #expect(troubles.contains { $0.contains("cannot be used") })
        #expect(troubles.contains { $0.contains("holds no manifest") })
    }

    // MARK: Plans

    @Test("Plans are as the latest point of their VMs has them; a VM that is not found is named")
    func plans() async throws {
        let rig = try await Rig(vms: ["orders", "stock", "mail"])
        for vm in ["orders", "stock", "mail"] { try await rig.protect(vm) }
        func plan(_ vms: [String]) throws -> PlanReader.Draft {
            PlanReader.Draft(
                name: "shop", source: "vmm", target: "vmm", groups: [PlanGroup(name: "all", vms: vms)])
        }
        try await rig.engine.ensurePlan(plan(["orders", "stock"]))
        let early = try await find(rig, vm: "stock")
        #expect(SiteRecord(text: early.manifest.context)?.plans?.map(\.name) == ["shop"])
        #expect(SiteRecord(text: try await find(rig, vm: "mail").manifest.context)?.plans == nil, "it is in none")
        let latest = try await rig.engine.ensurePlan(plan(["orders", "stock", "mail"]))
        try await rig.cycle("orders")
        let late = try await find(rig, vm: "orders")
        let (vault, report, _) = try await rebuild(rig, [late, early])
        #expect(try await vault.read { try $0.objects(RecoveryPlan.self).map(\.value) } == [latest])
        #expect(report.unknown.contains { $0.hasPrefix("plan shop names mail") })
        #expect(report.unknown.contains { $0.contains("alerts are as they were") })
    }

    @Test("A plan that is too long to travel with every point is left out, and the point is made all the same")
    func longPlan() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let action = PlanAction(
            name: "tell", work: .manual(instructions: String(repeating: "x", count: 300_000)))
        let group = PlanGroup(name: "all", vms: ["orders"], before: [action])
        let server = try await rig.cloud().server
        try await rig.vault.write {
            try $0.insert(RecoveryPlan(id: "p", name: "long", source: server, target: server, groups: [group]))
        }
        #expect(SiteRecord(text: try await rig.manifest().context)?.plans == nil)
        try await rig.cycle()
        #expect(try await rig.points().count >= 1)
    }
}
