import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("What replication finds out by itself stops it, with the cause kept")
struct FindingsTests {
    private func protected(points: Int = 2) async throws -> Rig {
        let rig = try await Rig(points: points)
        try await rig.protect()
        for round in 1...2 {
            rig.world.write("orders", at: "a", [round * 10: round])
            try await rig.cycle()
        }
        return rig
    }

    private func change(_ rig: Rig, at host: String = "b", _ body: @escaping (inout FakeStore) -> Void) async throws {
        let id = try await rig.relationship().id
        rig.world.change { state in
            guard var store = state.hosts[host]?.stores[id] else { return }
            body(&store)
            state.hosts[host]?.stores[id] = store
        }
    }

    private func expectInStep(_ rig: Rig) async throws {
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        let there = rig.world.store(try await rig.relationship().id, at: "b").points.map(\.summary.generation)
        #expect(Set(try await rig.points().map(\.id)) == Set(there))
        #expect(try await rig.relationship().newestGeneration == there.last)
        #expect(rig.world.violations == [])
    }

    // MARK: error

    @Test("A disk that cannot be replicated any more stops it at once; mended, resume goes on with one point")
    func shape() async throws {
        let rig = try await protected()
        let before = try #require(rig.world.domain("orders", at: "a"))
        var other = before
        other.definition = try DomainDefinition(
            xml: before.definition.xml.replacing(
                "<source file=\"/images/orders-vdb.qcow2\"/>",
                with: "<source file=\"/images/orders-vdb.qcow2\"/><shareable/>"
            ).replacing(
                "<source file='/images/orders-vdb.qcow2'/>",
                with: "<source file='/images/orders-vdb.qcow2'/><shareable/>"))
        let uuid = rig.world.uuid("orders")
        rig.world.change { $0.hosts["a"]?.domains[uuid]?.definition = other.definition }
        rig.clock.advance(seconds: 30)
        let error = try await engineError { try await rig.run(.sync) }
        #expect(error.kind == .disksChanged)
        let stopped = try await rig.relationship()
        #expect(stopped.state == .error && stopped.trouble?.finding == .replicationStopped)
        #expect(stopped.trouble?.failure.message.contains("vdb") == true)
        #expect(stopped.trouble?.failure.causes?.isEmpty == false && stopped.trouble?.failure.hint != nil)
        #expect(try await engineError { try await rig.run(.sync) }.rule == "replication-in-error")
        // Resuming without mending tells the cause again and leaves the state.
        #expect(try await engineError { try await rig.run(.resume) }.kind == .disksChanged)
        #expect(try await rig.relationship().state == .error)
        rig.world.change { $0.hosts["a"]?.domains[uuid]?.definition = before.definition }
        rig.world.write("orders", at: "a", [40: 4])
        let number = try await rig.relationship().lastPointNumber
        try await rig.run(.resume)
        let after = try await rig.relationship()
        #expect(after.state == .protected && after.trouble == nil && after.lastError == nil)
        #expect(after.lastPointNumber == number + 1)
        try await expectInStep(rig)
    }

    @Test("A site that does not answer never stops replication for good")
    func unreachableIsNotCounted() async throws {
        let rig = try await protected()
        rig.world.cutOff("b")
        for _ in 0..<(FailureJudgement.most * 2) {
            rig.clock.advance(seconds: 30)
            _ = try? await rig.run(.sync)
        }
        #expect(try await rig.relationship().state == .protected)
        rig.world.bringBack("b")
        try await rig.cycle()
        try await expectInStep(rig)
    }

    @Test("Failures in a row stop it while both sites answer, and the cause of the last is kept")
    func inARow() async throws {
        let rig = try await protected()
        rig.world.setFreeBlocks(0, at: "a")
        for round in 1...FailureJudgement.most {
            #expect(try await rig.relationship().state == .protected, "before failure \(round)")
            _ = try? await rig.run(.sync)
        }
        let stopped = try await rig.relationship()
        #expect(stopped.state == .error)
        #expect(stopped.trouble?.failure.message.contains("scratch") == true)
        #expect(try await rig.engine.next(on: stopped).summary.contains("scratch"))
        rig.world.setFreeBlocks(100_000, at: "a")
        try await rig.run(.resume)
        try await expectInStep(rig)
    }

    @Test("From error an unplanned failover works, and so does unprotecting")
    func waysOut() async throws {
        for operation in [SiteModel.Operation.unplannedFailover, .unprotect] {
            let rig = try await protected()
            rig.world.setFreeBlocks(0, at: "a")
            for _ in 1...FailureJudgement.most { _ = try? await rig.run(.sync) }
            try await rig.run(operation)
            let after = try await rig.relationship()
            #expect(after.state == (operation == .unprotect ? .unprotected : .failedOver))
            #expect(after.trouble == nil && after.failuresInARow == nil)
        }
    }

    // MARK: resync-required

    struct Damage: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Points that are left afterwards, besides the one that the resync makes.
        var left: Int
        var act: @Sendable (inout FakeStore) -> Void
    }

    static let damages: [Damage] = [
        Damage(testDescription: "the target's store was put back to an older copy", left: 2) { $0.points.removeLast() },
        Damage(testDescription: "the target's store was emptied", left: 0) { $0 = FakeStore() },
        Damage(testDescription: "a point was exchanged for another one of the same number", left: 2) { store in
            var last = store.points.removeLast()
            last.summary.generation = "foreign"
            last.summary.previous = "unknown"
            store.points = [store.points[1], last]
        },
        Damage(testDescription: "a later point was not made from the newest", left: 2) { store in
            var later = store.points[2]
            later.summary.generation = "later"
            later.summary.number += 1
            later.summary.previous = "unknown"
            store.nextNumber += 1
            store.points.append(later)
        },
    ]

    @Test(
        "A target that holds other points than the vault knows needs a resync, which puts both in step",
        arguments: damages)
    func diverged(damage: Damage) async throws {
        let rig = try await protected()
        try await change(rig, damage.act)
        rig.world.write("orders", at: "a", [50: 50])
        rig.clock.advance(seconds: 30)
        let error = try await engineError { try await rig.run(.sync) }
        #expect(error.kind == .diverged, "\(error)")
        let found = try await rig.relationship()
        #expect(found.state == .resyncRequired && found.trouble?.finding == .diverged)
        #expect(try await rig.engine.next(on: found).steps.first?.operation == .resync)
        #expect(try await engineError { try await rig.run(.testFailover) }.rule == "resync-first")
        try await rig.run(.resync)
        let after = try await rig.relationship()
        #expect(after.state == .protected && after.trouble == nil)
        try await expectInStep(rig)
        rig.world.write("orders", at: "a", [51: 51])
        try await rig.cycle()
        try await expectInStep(rig)
    }

    @Test("A planned failover finds it before the guest is shut down")
    func plannedFailover() async throws {
        let rig = try await protected()
        try await change(rig) { $0.points.removeLast() }
        #expect(try await engineError { try await rig.run(.plannedFailover) }.kind == .diverged)
        #expect(rig.world.power("orders", at: "a") == .running)
        #expect(try await rig.relationship().state == .resyncRequired)
    }

    @Test("A resync that fails after it took the target's older points never trusts the newer change map")
    func failedResync() async throws {
        let rig = try await protected()
        try await rig.run(.pause)
        try await change(rig) { $0.points.removeLast() }
        let fuse = Fuse(.runAfterEffect("b.open-point")) { rig.world.cutOff("b") }
        _ = try? await rig.run(.resync, by: rig.engine("fails", fuse: fuse))
        #expect(fuse.wentOff)
        rig.world.bringBack("b")
        #expect(try await rig.relationship().state == .paused)
        rig.world.write("orders", at: "a", [60: 60])
        try await rig.run(.resume)
        try await expectInStep(rig)
    }

    @Test("Points that are whole at the target outlive a resync")
    func pointsStay() async throws {
        let rig = try await protected(points: 4)
        let before = try await rig.points().map(\.number)
        try await rig.run(.pause)
        try await rig.run(.resync)
        let after = try await rig.points().map(\.number)
        #expect(after.count == before.count + 1 && Set(before).isSubset(of: Set(after)))
    }

    // MARK: Resync: when

    private func diverge(_ rig: Rig) async throws {
        try await change(rig) { $0.points.removeLast() }
        rig.clock.advance(seconds: 30)
        _ = try? await rig.run(.sync)
        #expect(try await rig.relationship().state == .resyncRequired)
    }

    private func isDue(_ rig: Rig, offset: Int = 0) async throws -> Bool {
        ResyncSchedule.isDue(
            try await rig.relationship(), try await rig.policy(), now: rig.clock.now, localOffset: offset)
    }

    @Test("It is begun by hand unless the policy says otherwise")
    func automatic() async throws {
        let rig = try await protected()
        try await diverge(rig)
        #expect(try await !isDue(rig))
        var policy = try await rig.policy()
        policy.autoResync = .always
        try await rig.engine.ensurePolicy(policy)
        #expect(try await isDue(rig))
        policy.autoResync = .window
        policy.resyncWindow = try #require(DailyWindow("18:30-06:00"))
        let relationship = try await rig.relationship()
        for (time, due) in [("18:29", false), ("18:30", true), ("00:00", true), ("05:59", true), ("06:00", false)] {
            let at = try #require(TimeOfDay(time)).next(from: rig.clock.now, offset: 3600)
            #expect(ResyncSchedule.isDue(relationship, policy, now: at, localOffset: 3600) == due, "\(time)")
        }
    }

    @Test("One that is set begins at its time and not before; it may be called off")
    func scheduled() async throws {
        let rig = try await protected()
        try await rig.run(.pause)
        let id = try await rig.relationship().id
        try await rig.engine.scheduleResync(on: id, after: 3600)
        #expect(try await !isDue(rig))
        #expect(try await rig.engine.next(on: rig.relationship()).summary.contains("A resync is set for"))
        rig.clock.advance(seconds: 3600)
        #expect(try await isDue(rig))
        try await rig.engine.scheduleResync(on: id, after: nil)
        #expect(try await !isDue(rig))
        try await rig.engine.scheduleResync(on: id, after: 0)
        try await rig.run(.resync)
        #expect(try await rig.relationship().resyncAt == nil)
    }

    @Test("It is set for seven days at most, and only where a resync may follow", arguments: [-1, 604_801, .infinity])
    func limits(delay: Double) async throws {
        let rig = try await protected()
        let id = try await rig.relationship().id
        #expect(
            try await engineError { try await rig.engine.scheduleResync(on: id, after: 60) }.rule
                == "pause-before-resync")
        try await rig.run(.pause)
        #expect(try await engineError { try await rig.engine.scheduleResync(on: id, after: delay) }.kind == .invalid)
        #expect(try await rig.relationship().resyncAt == nil)
    }

    // MARK: Held back, given up

    /// Runs `operation` in the middle of the transfer of another one, which it ends.
    private func interrupt(
        _ rig: Rig, _ running: SiteModel.Operation, by operation: SiteModel.Operation
    ) async throws {
        rig.world.change { state in
            state.midTransfer = {
                rig.world.change { $0.midTransfer = nil }
                _ = try? await rig.run(operation, by: rig.engine("interrupts"))
            }
        }
        _ = try? await rig.run(running)
    }

    @Test("A resync that is held back resumes by comparing, and one that is cancelled stays outstanding")
    func heldAndCancelled() async throws {
        for operation in [SiteModel.Operation.pauseResync, .cancelResync] {
            let rig = try await protected()
            try await diverge(rig)
            rig.world.write("orders", at: "a", [70: 70])
            try await interrupt(rig, .resync, by: operation)
            let held = try await rig.relationship()
            #expect(held.state == (operation == .pauseResync ? .resyncPaused : .resyncRequired))
            #expect(held.activeJob == nil)
            #expect(rig.world.store(held.id, at: "b").draft == nil)
            #expect(rig.world.domain("orders", at: "a")?.backup == nil)
            try await rig.run(operation == .pauseResync ? .resume : .resync)
            try await expectInStep(rig)
        }
    }

    @Test("A pause ends a running cycle; resuming sends all since then as one point")
    func pauseAndResume() async throws {
        let rig = try await protected()
        let number = try await rig.relationship().lastPointNumber
        rig.world.write("orders", at: "a", [80: 80])
        try await interrupt(rig, .sync, by: .pause)
        #expect(try await rig.relationship().state == .paused)
        #expect(rig.world.domain("orders", at: "a")?.backup == nil)
        for block in 81...83 {
            rig.world.write("orders", at: "a", [block: block])
            rig.clock.advance(seconds: 300)
        }
        let job = try await rig.run(.resume)
        #expect(job.facts["point"] == String(number + 1))
        #expect(try await rig.relationship().state == .protected)
        try await expectInStep(rig)
    }

    @Test("A first copy that is cancelled on its way leaves nothing, and can be started again")
    func cancelledFirstCopy() async throws {
        let rig = try await Rig()
        rig.world.change { state in
            state.midTransfer = {
                rig.world.change { $0.midTransfer = nil }
                _ = try? await rig.run(.cancelFirstCopy, by: rig.engine("interrupts"))
            }
        }
        _ = try? await rig.protect()
        let held = try await rig.relationship()
        #expect(held.state == .firstCopyPending && held.newestGeneration == nil)
        #expect(rig.world.store(held.id, at: "b").draft == nil && rig.world.domain("orders", at: "a")?.backup == nil)
        try await rig.run(.startFirstCopy)
        try await expectInStep(rig)
    }
}
