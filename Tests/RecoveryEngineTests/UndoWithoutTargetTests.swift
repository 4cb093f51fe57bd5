import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("A failover whose target is lost goes back to a source that is whole")
struct UndoWithoutTargetTests {
    private let declared = ["target": "declared lost"]

    /// The VM runs at b, its failover is open, and b is gone: killed, or only cut off.
    private func rig(runsOn: Bool = false) async throws -> Rig {
        let rig = try await Undertaking.undo.rig(points: 2)
        if runsOn { rig.world.cutOff("b") } else { rig.world.lose("b") }
        return rig
    }

    private func watch(_ rig: Rig) async throws -> [WatchNews] {
        let news = Mutex<[WatchNews]>([])
        try await SiteWatch(engine: rig.engine) { one in news.withLock { $0.append(one) } }.look()
        return news.withLock { $0 }
    }

    private func isAtHome(_ rig: Rig) async throws -> Bool {
        let after = try await rig.relationship()
        return after.state == .protected && after.owner == "a" && after.activeJob == nil
            && rig.world.power("orders", at: "a") == .running
    }

    @Test func withoutAWordItIsRefusedAndSaysWhich() async throws {
        let rig = try await rig()
        let before = try await rig.relationship()
        for operation in [SiteModel.Operation.commit, .changePoint, .unprotect] {
            _ = try await engineError { try await rig.run(operation) }
        }
        let error = try await engineError { try await rig.run(.undo) }
        #expect(error.rule == "target-must-be-down" && error.hint?.contains("declared lost") == true)
        #expect(try await engineError { try await rig.run(.undo, "orders", ["target": "gone"]) }.kind == .invalid)
        #expect(try await rig.relationship() == before)
        let next = try await rig.engine.next(on: before)
        #expect(next.steps.map(\.operation) == [.undo])
        #expect(next.steps.first?.needs == ["target"])
        #expect(try await rig.engine.refusal(of: .undo, on: before)?.rule.id == "target-must-be-down")
        #expect(try await rig.engine.refusal(of: .undo, on: before, arguments: declared) == nil)
    }

    @Test func declaredLostItRunsAtTheSourceAndTheCopyIsHeldStillWhenItReturns() async throws {
        let rig = try await rig(runsOn: true)
        let written = rig.disks(at: "a")
        try await rig.run(.undo, "orders", declared)
        #expect(try await isAtHome(rig))
        #expect(rig.disks(at: "a") == written)
        let (id, epoch) = (try await rig.relationship().id, try await rig.relationship().epoch)
        #expect(try await rig.relationship().leftCopy == LeftCopy(epoch: epoch - 1, verdict: .declared))
        #expect(try await watch(rig) == [])

        rig.world.bringBack("b")
        #expect(try await watch(rig) == [.formerCopy(vm: "orders", host: "b", .suspended)])
        let copy = try #require(rig.world.domain("orders", at: "b"))
        #expect(copy.power == .paused && !copy.linksAreUp)
        let record = try #require(rig.world.store(id, at: "b").ownership)
        #expect(record.owner == "a" && record.epoch == epoch)
        #expect(try await watch(rig) == [], "told once")
        #expect(try await engineError { try await rig.cycle() }.rule == "one-writable-copy")

        // What it holds has been saved; then replication goes on, and nothing of the copy is left.
        rig.world.kill("orders", at: "b")
        rig.world.write("orders", at: "a", [50: 50])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(try await rig.relationship().leftCopy == nil)
        #expect(rig.world.store(id, at: "b").boots.isEmpty && rig.world.domain("orders", at: "b") == nil)
        try await rig.run(.plannedFailover)
    }

    @Test func copyThatReturnsOffIsKeptFromStarting() async throws {
        let rig = try await rig()
        try await rig.run(.undo, "orders", declared)
        rig.world.bringBack("b")
        #expect(try await watch(rig) == [.formerCopy(vm: "orders", host: "b", .stopped)])
        #expect(rig.world.domain("orders", at: "b")?.definition.ownership?.owner == "a")
        #expect(try await watch(rig) == [])
        try await rig.cycle()
        #expect(rig.world.violations == [])
    }

    @Test func fenceThatDoesNotGetThroughChangesNothing() async throws {
        let rig = try await rig(runsOn: true)
        rig.world.change { $0.fenceIsBroken = true }
        let error = try await engineError { try await rig.run(.undo, "orders", ["target": "fence"]) }
        #expect(error.kind == .targetNotDown && error.rule == "target-must-be-down")
        let after = try await rig.relationship()
        #expect(after.state == .failedOver && after.owner == "b" && after.activeJob == nil)
        #expect(rig.world.power("orders", at: "a") == .off)
        rig.world.change { $0.fenceIsBroken = false }
        try await rig.run(.undo, "orders", ["target": "fence"])
        #expect(try await isAtHome(rig))
        #expect(try await rig.relationship().leftCopy?.verdict == .proven)
        #expect(rig.world.violations == [])
    }

    // MARK: The source goes away meanwhile

    /// What runs at the target is not ended for a source that could not start the VM.
    @Test(arguments: [Ailment.agentHangs, .agentCallsHang, .hypervisorFails])
    func sourceIsAwayBeforeTheFence(ailment: Ailment) async throws {
        let rig = try await rig(runsOn: true)
        let id = try await rig.relationship().id
        let fence = ["target": "fence"]
        #expect(try await rig.engine.perform(.undo, on: id, arguments: fence, hold: .fenceTarget).isHeld)
        rig.world.fallIll("a", ailment)
        let error = try await engineError { try await rig.run(.undo, "orders", fence) }
        #expect(error.kind == .unreachable && error.message.contains("nothing was done to the target"))
        #expect(rig.world.power("orders", at: "b") == .running)
        let after = try await rig.relationship()
        #expect(after.state == .failedOver && after.owner == "b" && after.activeJob == nil)
        rig.world.recover("a")
        try await rig.run(.undo, "orders", fence)
        #expect(try await isAtHome(rig))
        #expect(rig.world.violations == [])
    }

    /// The fence has ended the target, and then the source's agent is gone: off at both sides, and both sides lead on.
    @Test(arguments: [false, true])
    func sourceIsGoneAfterTheFence(targetReturnsFirst: Bool) async throws {
        let rig = try await rig(runsOn: true)
        let world = rig.world
        let fuse = Fuse(.runAfterEffect("fence")) { world.fallIll("a", .agentHangs) }
        let fence = ["target": "fence"]
        let error = try await engineError { try await rig.run(.undo, "orders", fence, by: rig.engine("u", fuse: fuse)) }
        #expect(error.kind == .unreachable && error.message.contains("off at both sides"))
        let after = try await rig.relationship()
        #expect(after.state == .failedOver && after.owner == "b" && after.activeJob == nil)
        #expect(after.lastError?.contains("off at both sides") == true)
        #expect(world.power("orders", at: "a")?.isActive == false && world.power("orders", at: "b")?.isActive == false)
        let events = try await rig.vault.read { try $0.events(about: after.id, limit: 50) }
        #expect(events.contains { $0.code == "off-at-both-sides" && $0.severity == .critical })

        if targetReturnsFirst {
            world.bringBack("b")
            #expect(try await watch(rig).contains(.started(vm: "orders", host: "b")))
            #expect(world.power("orders", at: "b") == .running)
            world.recover("a")
            try await rig.run(.undo)
        } else {
            world.recover("a")
            try await rig.run(.undo, "orders", fence)
        }
        #expect(try await isAtHome(rig))
        #expect(world.violations == [])
    }

    /// The engine dies as the fence has ended the target, and the source is gone when the next one takes the undo up.
    @Test(arguments: [false, true])
    func engineDiesAtTheFenceAndTheSourceIsGone(fenceEndsGuestsOnly: Bool) async throws {
        func rig() async throws -> Rig {
            let rig = fenceEndsGuestsOnly ? try await Undertaking.undo.rig(points: 2) : try await self.rig(runsOn: true)
            rig.world.change { $0.fenceEndsGuestsOnly = fenceEndsGuestsOnly }
            return rig
        }
        let (calm, calmRig, fence) = (Fuse(), try await rig(), ["target": "fence"])
        try await calmRig.run(.undo, "orders", fence, by: calmRig.engine("calm", fuse: calm))
        let place = try #require(calm.effects.firstIndex(of: "fence"))

        let rig = try await rig()
        let world = rig.world
        _ = try? await rig.run(.undo, "orders", fence, by: rig.engine("dies", fuse: Fuse(.dieAfterEffect(place + 1))))
        #expect(world.power("orders", at: "b")?.isActive != true)
        world.fallIll("a", .agentHangs)
        let taken = try await rig.engine("next").recoverOpenJobs()
        let error = try #require(taken.first?.failure)
        #expect(!error.message.contains("nothing was done"))
        let after = try await rig.relationship()
        #expect(after.state == .failedOver && after.owner == "b" && after.activeJob == nil)
        if fenceEndsGuestsOnly {
            #expect(error.message.contains("started there again"))
        } else {
            #expect(error.message.contains("may be off at both sides"))
            world.bringBack("b")
            #expect(try await watch(rig).contains(.started(vm: "orders", host: "b")))
        }
        #expect(world.power("orders", at: "b") == .running)
        #expect(world.violations == [])
    }

    /// A fence that leaves the host up: the VM is its target's still, and runs on there.
    @Test func vmThatWasEndedForNothingRunsOnAtItsTarget() async throws {
        let rig = try await Undertaking.undo.rig(points: 2)
        let world = rig.world
        world.change { $0.fenceEndsGuestsOnly = true }
        let fuse = Fuse(.runAfterEffect("fence")) { world.fallIll("a", .agentHangs) }
        let error = try await engineError {
            try await rig.run(.undo, "orders", ["target": "fence"], by: rig.engine("u", fuse: fuse))
        }
        #expect(error.kind == .unreachable && error.message.contains("started there again"))
        #expect(world.power("orders", at: "b") == .running)
        #expect(try await rig.relationship().state == .failedOver)
        #expect(world.violations == [])
    }

    /// A host that answers is not taken for lost on anybody's word: what runs there is ended.
    @Test func copyAtATargetWithoutItsAgentIsEnded() async throws {
        let rig = try await Undertaking.undo.rig(points: 2)
        rig.world.change { _ = $0.hosts["b"]?.ailments.insert(.agentHangs) }
        try await rig.run(.undo, "orders", declared)
        #expect(rig.world.power("orders", at: "b")?.isActive == false)
        #expect(try await isAtHome(rig))
        rig.world.change { $0.hosts["b"]?.ailments = [] }
        try await rig.cycle()
        #expect(rig.world.violations == [])
    }

    /// The target is lost when the ownership has gone back already: the undo waits for it, until it is told not to.
    @Test func undoThatWaitsForItsTargetGoesOnWithoutIt() async throws {
        let rig = try await Undertaking.undo.rig(points: 2)
        let world = rig.world
        let fuse = Fuse(.runAfterEffect("a.record-ownership")) { world.lose("b") }
        let error = try await engineError { try await rig.run(.undo, by: rig.engine("undoes", fuse: fuse)) }
        #expect(error.hint?.contains("declared lost") == true)
        #expect(rig.world.power("orders", at: "a") == .off)
        let open = try #require(try await rig.relationship().activeJob)
        let job = try await rig.run(.undo, "orders", declared)
        #expect(job.id == open)
        #expect(try await isAtHome(rig))
        #expect(rig.world.violations == [])
    }

    /// It came back while nobody drove the undo: it does not run beside the source.
    @Test func targetThatReturnsBeforeTheSourceStartsIsEnded() async throws {
        for stage in [StageName.returnOwnership, .withdraw, .startSource] {
            let rig = try await rig(runsOn: true)
            let job = try await rig.engine.perform(
                .undo, on: try await rig.relationship().id, arguments: declared, hold: stage)
            #expect(job.isHeld)
            rig.world.bringBack("b")
            try await rig.run(.undo, "orders", declared)
            #expect(try await isAtHome(rig))
            #expect(rig.world.domain("orders", at: "b")?.isAlive != true, "\(stage)")
            #expect(rig.world.violations == [], "\(stage)")
        }
    }

    @Test func watchHoldsTheCopyStillAlsoWhileTheUndoStands() async throws {
        let rig = try await rig(runsOn: true)
        _ = try await rig.engine.perform(
            .undo, on: try await rig.relationship().id, arguments: declared, hold: .startSource)
        rig.world.bringBack("b")
        #expect(try await watch(rig) == [.formerCopy(vm: "orders", host: "b", .suspended)])
        try await rig.run(.undo, "orders", declared)
        #expect(try await isAtHome(rig))
        #expect(rig.world.violations == [])
    }

    /// The source is lost next: the points at the target lead on, and the copy that was given up is in nobody's way.
    @Test func sourceLostAfterwardsIsFailedOverAnew() async throws {
        let rig = try await rig(runsOn: true)
        try await rig.run(.undo, "orders", declared)
        rig.world.bringBack("b")
        _ = try await watch(rig)
        let held = try #require(try await rig.newestPoint(at: "b"))
        rig.world.lose("a")
        try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.disks(at: "b") == held)
        #expect(try await rig.relationship().leftCopy == nil)
        #expect(try await rig.relationship().state == .failedOver)
    }

    @Test func copyIsWatchedForAlsoWhenProtectionEnds() async throws {
        let rig = try await rig(runsOn: true)
        try await rig.run(.undo, "orders", declared)
        try await rig.run(.unprotect)
        #expect(try await rig.relationship().unseenCopy == "b")
        rig.world.bringBack("b")
        #expect(try await watch(rig) == [.formerCopy(vm: "orders", host: "b", .suspended)])
        #expect(rig.world.domain("orders", at: "b")?.isAlive == false)
        #expect(rig.world.power("orders", at: "a") == .running)
    }

    /// What the copy wrote may still be wanted: the end of protection throws it away only once it has been ended by hand.
    @Test func copyThatIsSuspendedIsNotThrownAwayByTheEndOfProtection() async throws {
        let rig = try await rig(runsOn: true)
        try await rig.run(.undo, "orders", declared)
        rig.world.bringBack("b")
        _ = try await watch(rig)
        let error = try await engineError { try await rig.run(.unprotect) }
        #expect(error.rule == "one-writable-copy" && error.hint?.contains("Keep its disks") == true)
        #expect(rig.world.domain("orders", at: "b") != nil)
        rig.world.kill("orders", at: "b")
        try await rig.run(.unprotect)
        #expect(rig.world.domain("orders", at: "b") == nil)
        #expect(rig.world.power("orders", at: "a") == .running)
    }

    /// Wherever the engine dies, the next one makes the same of it.
    @Test func everyDeathEndsAsIfNothingHadHappened() async throws {
        func ended(_ rig: Rig) async throws -> Outcome {
            rig.world.bringBack("b")
            _ = try await watch(rig)
            return try await Outcome(rig)
        }
        let calm = try await rig()
        try await calm.run(.undo, "orders", declared)
        let expected = try await ended(calm)
        for place in CrashTests.Place.allCases {
            var deaths = 0
            while true {
                let rig = try await rig()
                let fuse = Fuse(place.mode(deaths + 1))
                _ = try? await rig.run(.undo, "orders", declared, by: rig.engine("dies", fuse: fuse))
                guard fuse.wentOff else { break }
                deaths += 1
                for recovered in try await rig.engine("next").recoverOpenJobs() { #expect(recovered.failure == nil) }
                if try await rig.relationship().state == .failedOver { try await rig.run(.undo, "orders", declared) }
                #expect(try await ended(rig) == expected, "death \(deaths) \(place)")
            }
            #expect(deaths >= 4)
        }
    }
}
