import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("Held guests, in a simulated world")
struct SimulatedInstantTests {
    private func rig(agent: GuestAgentBehaviour, vms: [String] = ["orders"]) throws -> Rig {
        let rig = try Rig(vms: vms)
        for vm in vms { try rig.world.setGuest(vm, at: "a") { $0.agent = agent } }
        return rig
    }

    private func frozen(_ rig: Rig) -> Int {
        rig.world.look { $0.hosts["a"]?.domains.values.count { $0.isFrozen || $0.power == .paused } ?? 0 }
    }

    @Test(
        "Whatever its agent does, the point is made, says what it is, and the guest goes on",
        arguments: GuestAgentBehaviour.allCases)
    func everyAgent(_ agent: GuestAgentBehaviour) async throws {
        let rig = try rig(agent: agent)
        try await rig.world.run {
            try await rig.setUp(points: 4)
            try await rig.protect()
            try await rig.world.clock.sleep(seconds: 30)
            let job = try await rig.perform(.sync, "orders", ["consistency": "application"])
            #expect(job.facts["consistency"] == (agent == .answers ? "application" : "crash"))
            #expect((job.facts["crashReason"] == nil) == (agent == .answers))
            #expect(frozen(rig) == 0)
            let held = try #require(job.facts["held"].flatMap(Double.init))
            #expect(held <= 10.5, "\(held) s")
            try rig.world.setGuest("orders", at: "a") { $0.agent = .answers }
            try await rig.engine.releaseHeldGuests()
            #expect(try await rig.relationship().heldGuest == nil)
        }
        #expect(rig.world.violations == [])
    }

    @Test(
        "A backup that hangs is not waited for: the guest is let go at its deadline, and the point does not claim more")
    func hangingBackup() async throws {
        let rig = try rig(agent: .answers)
        try await rig.world.run {
            try await rig.setUp(points: 4)
            try await rig.protect()
            rig.world.change { state in
                var fault = Fault(.slow(factor: 2000), call: "hypervisor.begin-backup")
                fault.times = 1
                state.faults.append(fault)
            }
            let sync = Task(executorPreference: rig.world.executor) {
                try await rig.perform(.sync, "orders", ["consistency": "application"])
            }
            try await rig.world.clock.sleep(seconds: 11)
            #expect(frozen(rig) == 0, "thawed while the call still hangs")
            let job = try await sync.value
            #expect(job.facts["consistency"] == "crash")
            #expect(job.facts["crashReason"]?.contains("10 s") == true)
            let point = try await rig.engine.vault.read { try $0.objects(RecoveryPoint.self).map(\.value).last }
            #expect(point?.consistency == .crash)
        }
        #expect(rig.world.violations == [])
    }

    @Test("The VMs of a group point show one instant, whatever each writes")
    func groupPoint() async throws {
        let vms = ["orders", "stock", "web", "files"]
        let rig = try rig(agent: .answers, vms: vms)
        try await rig.world.run {
            try await rig.setUp(points: 4)
            var ids: [String] = []
            for vm in vms {
                try await rig.protect(vm)
                ids.append(try await rig.relationship(vm).id)
            }
            for consistency in PointConsistency.allCases {
                try await rig.world.clock.sleep(seconds: 30)
                let group = try await rig.engine.makeGroupPoint(
                    named: consistency.rawValue, of: ids, consistency: consistency)
                #expect(group.state == .whole && frozen(rig) == 0)
                #expect((group.heldSeconds ?? 60) < 1)
            }
        }
        #expect(rig.world.violations == [])
    }
}
