import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

/// What random sequences of operations have found, each as short as it can be shown.
@Suite("Found by random sequences")
struct SequenceFindingsTests {
    /// The error of the engine that a body ends with.
    private func refusal(_ body: () async throws -> Void) async throws -> EngineError {
        try #require(await #expect(throws: EngineError.self) { try await body() })
    }

    @Test("A protection that a rule forbids leaves nothing in the vault", arguments: ["a", "b"])
    func refusedProtection(lost: String) async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            rig.world.lose(host: lost)
            let before = try await rig.engine.vault.read { try ($0.changeNumber(), $0.lastEventNumber()) }
            let error = try await refusal { try await rig.protect() }
            #expect(error.kind == (lost == "a" ? .unreachable : .refused) && error.hint != nil)
            #expect(try await rig.engine.vault.read { try ($0.changeNumber(), $0.lastEventNumber()) } == before)
        }
    }

    @Test("A disk that was grown is replicated once the VM has been unprotected and is protected again")
    func grownDisk() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            try rig.world.resize("orders", at: "a", to: 20 << 30)
            let error = try await refusal { try await rig.cycle() }
            #expect(error.hint?.contains("unprotect and protect it again") == true)
            try await rig.perform(.unprotect)
            try await rig.protect()
            #expect(try await rig.relationship().disks.map(\.size) == [20 << 30])
            try await rig.cycle()
        }
        #expect(rig.world.violations == [])
    }

    @Test("An undo that had undefined the VM before it was interrupted is driven to its end")
    func interruptedUndo() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            try await rig.perform(.plannedFailover)
            var lost = Fault(.losesAnswer, call: "hypervisor.undefine", host: "b")
            lost.times = 1
            rig.world.add(lost)
            await #expect(throws: EngineError.self) { try await rig.perform(.undo) }
            #expect(rig.world.power("orders", at: "b") == nil)
            try await rig.perform(.undo)
            #expect(try await rig.relationship().state == .protected)
            #expect(rig.world.running("orders") == ["a"])
        }
        #expect(rig.world.violations == [])
    }

    @Test(
        "A source that somebody starts before its host knows of the failover is held still, not run beside the target")
    func startedMeanwhile() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            // Ownership is the target's by the vault's word; the hosts do not know it yet.
            var broken = Fault(.fails, call: "agent.record-ownership", host: "b")
            broken.times = 1
            rig.world.add(broken)
            await #expect(throws: EngineError.self) { try await rig.perform(.plannedFailover) }
            #expect(try await rig.relationship().epoch == 2)
            #expect(try rig.world.startByHand("orders", at: "a", hook: true))
            try await rig.perform(.plannedFailover)
            #expect(rig.world.running("orders") == ["b"])
            #expect(rig.world.power("orders", at: "a") == .paused)
            #expect(try await rig.relationship().formerCopy?.state == .suspended)
        }
        #expect(rig.world.violations == [])
    }

    @Test("Points that could not be removed when protection ended are removed before the next first copy")
    func leftoverPoints() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            try await rig.cycle()
            rig.world.lose(host: "b")
            try await rig.perform(.unprotect)
            rig.world.restore(host: "b")
            try await rig.protect()
            let id = try await rig.relationship().id
            #expect(rig.world.look { $0.hosts["b"]?.stores[id]?.layers.count } == 1)
        }
        #expect(rig.world.violations == [])
    }

    @Test("A copy that comes back running is suspended, also while an operation on the VM waits")
    func cameBackMeanwhile() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            rig.world.cutOff(site: "a")
            var broken = Fault(.fails, call: "hypervisor.define", host: "b")
            broken.times = 1
            rig.world.add(broken)
            await #expect(throws: EngineError.self) {
                try await rig.perform(.unplannedFailover, "orders", ["source": "declared lost"])
            }
            rig.world.restore(site: "a")
            try await SiteWatch(engine: rig.engine) { _ in }.look()
            #expect(rig.world.power("orders", at: "a") == .paused)
            try await rig.perform(.unplannedFailover, "orders", ["source": "declared lost"])
            #expect(rig.world.running("orders") == ["b"])
            rig.world.checkAlone()
        }
        #expect(rig.world.violations == [])
    }

    @Test("The vault lists no point that is gone, also when nobody heard of its end")
    func listedPoints() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp(points: 1)
            try await rig.protect()
            try await rig.cycle()
            var lost = Fault(.losesAnswer, call: "agent.keep-points", host: "b")
            lost.times = 1
            rig.world.add(lost)
            await #expect(throws: EngineError.self) { try await rig.cycle() }
            let relationship = try await rig.relationship()
            let listed = try await rig.engine.vault.read {
                try $0.objects(RecoveryPoint.self, parent: relationship.id).map(\.value.id)
            }
            let store = rig.world.look { $0.hosts["b"]?.stores[relationship.id]?.points.map(\.generation) ?? [] }
            #expect(listed.count == 2 && Set(listed).isSubset(of: store))
        }
    }

    @Test("What is written down of a failure stands after what was said while the world was put back")
    func orderOfEvents() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            // The guest is down, its last point cannot be made, and it cannot be started again.
            rig.world.after(2) { $0.lose(host: "a") }
            await #expect(throws: EngineError.self) { try await rig.perform(.plannedFailover) }
            let events = try await rig.engine.vault.read { try $0.events(after: 0, limit: 1000).map(\.event.at) }
            #expect(events == events.sorted())
        }
    }
}
