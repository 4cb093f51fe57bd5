import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import Synchronization
import Testing
import VaultStore

/// What random sequences of operations have found, each as short as it can be shown.
@Suite("Found by random sequences")
struct SequenceFindingsTests {
    /// The error of the engine that a body ends with.
    private func refusal(_ body: () async throws -> Void) async throws -> EngineError {
        try #require(await #expect(throws: EngineError.self) { try await body() })
    }

    /// Plays on two sites, at one of which the VM is protected, and asks whether all was as it must be at each step.
    private func play(
        writesPerSecond: Double = 10, points: Int = 2, _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let rig = try Rig(writesPerSecond: writesPerSecond)
        try await rig.world.run {
            try await rig.setUp(points: points)
            try await rig.protect()
            try await body(rig)
        }
        #expect(rig.world.violations == [])
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

    @Test("A disk that was grown is replicated at its new size, and so is the VM once it is protected anew")
    func grownDisk() async throws {
        try await play { rig in
            try rig.world.resize("orders", at: "a", to: 20 << 30)
            try await rig.cycle()
            #expect(try await rig.relationship().disks.map(\.size) == [20 << 30])
            try await rig.perform(.unprotect)
            try await rig.protect()
            #expect(try await rig.relationship().disks.map(\.size) == [20 << 30])
            try await rig.cycle()
        }
    }

    @Test("An undo that had undefined the VM before it was interrupted is driven to its end")
    func interruptedUndo() async throws {
        try await play { rig in
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
    }

    @Test(
        "A source that somebody starts before its host knows of the failover is held still, not run beside the target")
    func startedMeanwhile() async throws {
        try await play { rig in
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
    }

    @Test("Points that could not be removed when protection ended are removed before the next first copy")
    func leftoverPoints() async throws {
        try await play { rig in
            try await rig.cycle()
            rig.world.lose(host: "b")
            try await rig.perform(.unprotect)
            rig.world.restore(host: "b")
            try await rig.protect()
            let id = try await rig.relationship().id
            #expect(rig.world.look { $0.hosts["b"]?.stores[id]?.layers.count } == 1)
        }
    }

    @Test("A copy that comes back running is suspended, also while an operation on the VM waits")
    func cameBackMeanwhile() async throws {
        try await play { rig in
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
    }

    /// One call to a host that fails once.
    private func fail(_ call: String, at host: String, in rig: Rig) {
        var broken = Fault(.fails, call: call, host: host)
        broken.times = 1
        rig.world.add(broken)
    }

    @Test("Nobody starts the source of an undo while the copy at the target still runs")
    func startedDuringAnUndo() async throws {
        try await play { rig in
            try await rig.perform(.plannedFailover)
            fail("hypervisor.destroy", at: "b", in: rig)
            await #expect(throws: EngineError.self) { try await rig.perform(.undo) }
            #expect(try await rig.relationship().owner == "a" && rig.world.running("orders") == ["b"])
            #expect(try !rig.world.startByHand("orders", at: "a", hook: true))
            try await rig.perform(.undo)
            #expect(rig.world.running("orders") == ["a"])
        }
    }

    @Test("An undo that stands is ended by a failover, which starts the VM from a point and not from what was given up")
    func failoverOfAnUndo() async throws {
        try await play { rig in
            let declared = ["source": "declared lost"]
            try await rig.perform(.unplannedFailover, "orders", declared)
            fail("hypervisor.destroy", at: "b", in: rig)
            await #expect(throws: EngineError.self) { try await rig.perform(.undo) }
            #expect(rig.world.running("orders") == ["b"])
            try await rig.perform(.unplannedFailover, "orders", declared)
            #expect(try await rig.relationship().state == .failedOver)
            #expect(rig.world.running("orders") == ["b"])
            let id = try await rig.relationship().id
            let epoch = try await rig.relationship().epoch
            #expect(rig.world.look { $0.hosts["b"]?.stores[id]?.boots.keys.sorted() } == [epoch])
        }
    }

    /// Wherever the undo stands when it is ended: a call that is on its way then, such as the start of the source, comes to pass.
    @Test("A failover that ends an undo under way claims nothing before that has let go")
    func failoverDuringAnUndo() async throws {
        let ended = Mutex(0)
        for step in 0..<60 {
            let rig = try Rig()
            try await rig.world.run {
                try await rig.setUp()
                try await rig.protect()
                try await rig.perform(.unplannedFailover)
                async let undo = try? rig.perform(.undo)
                try await rig.world.clock.sleep(seconds: 0.02 * Double(step))
                let failover = try? await rig.perform(.unplannedFailover)
                if await undo == nil, failover != nil { ended.withLock { $0 += 1 } }
                try await SiteWatch(engine: rig.engine) { _ in }.look()
                #expect(rig.world.running("orders").count <= 1)
            }
            #expect(rig.world.violations == [], "after \(step) steps")
        }
        #expect(ended.withLock { $0 } > 5, "hardly any was ended while it was under way")
    }

    @Test("An undo that was ended by a failover which fails waits again, and goes on")
    func failedFailoverOfAnUndo() async throws {
        try await play { rig in
            try await rig.perform(.unplannedFailover)
            fail("hypervisor.destroy", at: "b", in: rig)
            await #expect(throws: EngineError.self) { try await rig.perform(.undo) }
            fail("agent.points", at: "b", in: rig)
            await #expect(throws: EngineError.self) { try await rig.perform(.unplannedFailover) }
            // Until the copy at the target has been ended nobody starts the other one.
            try await SiteWatch(engine: rig.engine) { _ in }.look()
            #expect(try !rig.world.startByHand("orders", at: "a", hook: true))
            try await rig.perform(.undo)
            #expect(rig.world.running("orders") == ["a"])
            try await rig.cycle()
        }
    }

    @Test("The definition that a VM had at the target before is not started between the claim and its own")
    func formerDefinition() async throws {
        try await play { rig in
            try await rig.perform(.plannedFailover)
            try await rig.perform(.commit)
            try await rig.perform(.unprotect)
            // It runs at b; at a lies the definition of the time before, on the disks of that time.
            try await rig.protect()
            #expect(try await rig.relationship().target == "a")
            fail("agent.create-boot-images", at: "a", in: rig)
            await #expect(throws: EngineError.self) { try await rig.perform(.plannedFailover) }
            #expect(try await rig.relationship().owner == "a")
            #expect(try !rig.world.startByHand("orders", at: "a", hook: true))
            try await rig.perform(.plannedFailover)
            #expect(rig.world.running("orders") == ["a"])
        }
    }

    @Test("A VM that somebody starts at the target while its definition is under way is the failover's own")
    func startedDuringDefine() async throws {
        try await play { rig in
            // The mark is written, and the engine hears that it is not.
            var lost = Fault(.losesAnswer, call: "hypervisor.set-ownership", host: "b")
            lost.times = 1
            rig.world.add(lost)
            await #expect(throws: EngineError.self) { try await rig.perform(.plannedFailover) }
            #expect(try rig.world.startByHand("orders", at: "b", hook: true))
            try await rig.perform(.plannedFailover)
            #expect(try await rig.relationship().state == .failedOver)
            try await rig.perform(.commit)
            try await rig.perform(.reverse)
        }
    }

    @Test("A VM that somebody starts at the target just before the failover does is compared whole on its way back")
    func startedBeforeTheFailover() async throws {
        try await play { rig in
            fail("hypervisor.networks", at: "b", in: rig)
            await #expect(throws: EngineError.self) { try await rig.perform(.plannedFailover) }
            #expect(try rig.world.startByHand("orders", at: "b", hook: true))
            try rig.world.write("orders", at: "b", offset: 1 << 20)
            try await rig.perform(.plannedFailover)
            #expect(try await rig.relationship().checkpoint == nil)
            try await rig.perform(.commit)
            try await rig.perform(.reverse)
        }
    }

    @Test("A copy that was declared lost and runs on is held still also after protection has ended")
    func unseenCopy() async throws {
        try await play { rig in
            rig.world.cutOff(site: "a")
            try await rig.perform(.unplannedFailover, "orders", ["source": "declared lost"])
            try await rig.perform(.commit)
            try await rig.perform(.unprotect)
            rig.world.restore(site: "a")
            try await SiteWatch(engine: rig.engine) { _ in }.look()
            #expect(rig.world.power("orders", at: "a") == .paused)
            #expect(rig.world.running("orders") == ["b"])
            rig.world.checkAlone()
        }
    }

    /// Each point is compared with what its source held.
    @Test("A reversal compares where the target had lost its newest point: no map says what that held")
    func lostNewestPoint() async throws {
        try await play(writesPerSecond: 0) { rig in
            try rig.world.write("orders", at: "a", offset: 1 << 30, length: 64 << 10)
            try await rig.cycle()
            let id = try await rig.relationship().id
            let newest = try await rig.relationship().newestGeneration
            #expect(rig.world.loseNewestPoint(of: id, at: "b") == newest)
            try await rig.perform(.unplannedFailover)
            try await rig.perform(.commit)
            try await rig.perform(.reverse)
            #expect(try await rig.relationship().state == .protected)
        }
    }

    @Test("A VM is not protected towards a host where a copy of the time before is still active")
    func formerCopyAtTheTarget() async throws {
        try await play { rig in
            rig.world.cutOff(site: "a")
            try await rig.perform(.unplannedFailover, "orders", ["source": "declared lost"])
            rig.world.restore(site: "a")
            try await rig.perform(.commit)
            try await rig.perform(.unprotect)
            let refused = try await refusal { try await rig.protect() }
            #expect(refused.rule == "one-writable-copy")
            try await SiteWatch(engine: rig.engine) { _ in }.look()
            #expect(rig.world.power("orders", at: "a") == .paused)
            #expect(try await refusal { try await rig.protect() }.rule == "one-writable-copy")
            try rig.world.kill("orders", at: "a")
            try await rig.protect()
            try await rig.perform(.unplannedFailover)
            #expect(rig.world.running("orders") == ["a"])
        }
    }

    @Test("An owner that was away when protection ended is told when it is back, and its VM can be started there")
    func untoldOwner() async throws {
        try await play { rig in
            rig.world.lose(host: "a")
            try await rig.perform(.unprotect)
            rig.world.restore(host: "a")
            #expect(try !rig.world.startByHand("orders", at: "a", hook: true))
            try await SiteWatch(engine: rig.engine) { _ in }.look()
            #expect(try rig.world.startByHand("orders", at: "a", hook: true))
            #expect(try await rig.relationship().untoldOwner == nil)
            #expect(rig.world.look { $0.hosts["a"]?.domains.values.map(\.autostart) } == [true])
            try await rig.protect()
            #expect(try await rig.relationship().state == .protected)
        }
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
