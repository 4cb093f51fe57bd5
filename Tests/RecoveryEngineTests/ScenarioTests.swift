import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("The standalone management server's scenario, from protection to a steady state after the return")
struct ScenarioTests {
    private let all = ["vmm01", "orders", "stock"]
    private let workloads = ["orders", "stock"]

    private func owners(_ rig: Rig) async throws -> [String] {
        var owners: [String] = []
        for vm in all {
            let relationship = try await rig.relationship(vm)
            owners.append("\(vm) \(relationship.state.rawValue) \(relationship.owner) \(relationship.epoch)")
        }
        return owners
    }

    @Test func goesOverAndBackWithEveryBlockAccountedFor() async throws {
        let rig = try await Rig(managementVM: "vmm01", vms: all)
        let world = rig.world

        // A7, A8: first copies.
        let (a, b) = (try await host("a", rig), try await host("b", rig))
        try await rig.engine.replicate(
            vm: "vmm01", from: a, to: b, policy: try await rig.policy(), networks: ["mgmt-a": "mgmt-b"])
        for vm in workloads { try await rig.protect(vm) }
        #expect(try await owners(rig) == all.map { "\($0) protected a 1" })
        #expect(world.domain("orders", at: "a")?.autostart == false)
        #expect(world.domain("orders", at: "a")?.definition.ownership?.owner == "a")

        // Cycles while the guests write: each point is what the guest held then.
        for round in 1...5 {
            for (index, vm) in all.enumerated() {
                world.write(vm, at: "a", [round % 4: round * 10 + index, 20 + round: round])
                world.write(vm, at: "a", disk: "vdb", [round: round])
                try await rig.cycle(vm)
                #expect(try await rig.newestPoint(vm, at: "b") == rig.disks(vm, at: "a"))
            }
        }
        // The first of the hour, and the newest; there being one hour only, the newest other fills the room.
        #expect(try await rig.points("orders").map(\.number) == [1, 5, 6])
        #expect(world.domain("orders", at: "a")?.checkpoints.count == 1, "old checkpoints are dropped")
        let held = try await rig.newestPoint("orders", at: "b")
        let point5 = world.store(try await rig.relationship("orders").id, at: "b").points[1].content
        for vm in all { world.write(vm, at: "a", [40: 999]) }

        // Site a is lost. 1: the management server's VM first, by the hosts.
        world.lose("a")
        let early = try await engineError {
            try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        }
        #expect(early.rule == "management-server-first")
        try await rig.run(.unplannedFailover, "vmm01", ["source": "declared lost"])
        #expect(world.power("vmm01", at: "b") == .running)
        #expect(world.domain("vmm01", at: "b")?.definition.nics.map(\.network) == ["mgmt-b"])
        try await rig.run(.commit, "vmm01")

        // 2: the workloads, one of them to an older point before its commit.
        for vm in workloads { try await rig.run(.unplannedFailover, vm, ["source": "fence"]) }
        #expect(rig.disks("orders", at: "b") == held)
        #expect(world.domain("orders", at: "b")?.definition.nics.map(\.network) == ["prod-b"])
        try await rig.run(.changePoint, "orders", ["point": "5"])
        #expect(rig.disks("orders", at: "b") == point5)
        #expect(try await owners(rig) == ["vmm01 committed b 2", "orders failed-over b 3", "stock failed-over b 2"])
        for vm in workloads { try await rig.run(.commit, vm) }
        #expect(try await rig.points("orders").map(\.number) == [5])
        for (index, vm) in all.enumerated() { world.write(vm, at: "b", [50: index, 2: 77]) }

        // 4, 5: site a returns; the management server's VM goes home and is protected again.
        world.bringBack("a")
        try await rig.run(.reverse, "vmm01")
        #expect(try await rig.newestPoint("vmm01", at: "a") == rig.disks("vmm01", at: "b"))
        let soon = try await engineError { try await rig.run(.reverse, "orders") }
        #expect(soon.rule == "management-server-home-first")
        try await goHome("vmm01", rig)

        // 6, 7: the workloads.
        for vm in workloads {
            try await rig.run(.reverse, vm)
            #expect(try await rig.newestPoint(vm, at: "a") == rig.disks(vm, at: "b"))
            world.write(vm, at: "b", [51: 51])
            try await rig.cycle(vm)
            world.write(vm, at: "b", [52: 52])
            try await goHome(vm, rig)
        }
        #expect(try await owners(rig) == ["vmm01 protected a 3", "orders protected a 4", "stock protected a 3"])
        #expect(world.domain("orders", at: "a")?.definition.nics.map(\.network) == ["prod-a"])
        #expect(world.domain("vmm01", at: "a")?.definition.nics.map(\.network) == ["mgmt-a"])
        #expect(rig.disks("orders", at: "a")["vda"]?[52] == 52, "a planned failover loses nothing")
        #expect(rig.disks("orders", at: "a")["vda"]?[40] == nil, "what came after the chosen point is not in it")
        #expect(world.violations == [])
        let open = try await rig.vault.read { try $0.openJobs().count }
        #expect(open == 0)
    }

    /// Planned failover, commit, reverse: the steady state in the first direction.
    private func goHome(_ vm: String, _ rig: Rig) async throws {
        let before = rig.disks(vm, at: "b")
        try await rig.run(.plannedFailover, vm)
        #expect(rig.disks(vm, at: "a") == before)
        #expect(rig.world.power(vm, at: "b") == .off)
        try await rig.run(.commit, vm)
        rig.world.write(vm, at: "a", [60: 60])
        try await rig.run(.reverse, vm)
        #expect(try await rig.newestPoint(vm, at: "b") == rig.disks(vm, at: "a"))
        rig.world.write(vm, at: "a", [61: 61])
        try await rig.cycle(vm)
        #expect(try await rig.newestPoint(vm, at: "b") == rig.disks(vm, at: "a"))
    }

    private func host(_ id: String, _ rig: Rig) async throws -> SiteModel.Host {
        try #require(try await rig.vault.read { try $0.object(SiteModel.Host.self, id: id)?.value })
    }
}
