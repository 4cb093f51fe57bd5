import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("Every state that an operation can stop in has a way on")
struct WayOutTests {
    private func events(_ rig: Rig, _ severity: Event.Severity) async throws -> [String] {
        try await rig.vault.read { try $0.events(about: nil, limit: 10_000) }
            .filter { $0.severity == severity }.map(\.text)
    }

    private func expectNoOpenJobs(_ rig: Rig) async throws {
        #expect(try await rig.vault.read { try $0.openJobs().map(\.value.operation) } == [])
        #expect(try await rig.relationship().activeJob == nil)
    }

    // MARK: Reversal

    /// The owner's site is lost while a reversal is at its end: the reversed point is whole, so the VM goes over to it.
    @Test(arguments: ["a.seal-point", "a.keep-points"])
    func ownerLostAfterTheReversedPointIsWhole(_ place: String) async throws {
        let rig = try await Undertaking.reverse.rig(points: 2)
        let (world, written) = (rig.world, rig.disks(at: "b"))
        let fuse = Fuse(.runAfterEffect(place)) { world.lose("b") }
        _ = try? await rig.run(.reverse, by: rig.engine("reverses", fuse: fuse))
        #expect(fuse.wentOff)
        try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        let after = try await rig.relationship()
        #expect(after.state == .failedOver && after.owner == "a" && after.target == "a" && after.source == "b")
        #expect(rig.disks(at: "a") == written)
        #expect(world.power("orders", at: "a") == .running)
        try await expectNoOpenJobs(rig)

        // And back again.
        try await rig.run(.commit)
        world.bringBack("b")
        world.write("orders", at: "a", [44: 44])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(world.violations == [])
    }

    /// The former site is lost for good in the middle of a reversal: the VM runs on without protection.
    @Test(arguments: ["a.adopt-disks", "a.open-point"])
    func formerSiteLostForGoodDuringAReversal(_ place: String) async throws {
        let rig = try await Undertaking.reverse.rig(points: 2)
        let (world, held) = (rig.world, rig.disks(at: "b"))
        let fuse = Fuse(.runAfterEffect(place)) { world.lose("a") }
        let error = try await engineError {
            try await rig.run(.reverse, by: rig.engine("reverses", fuse: fuse))
        }
        #expect(fuse.wentOff)
        #expect(error.hint?.isEmpty == false)
        try await rig.run(.unprotect)
        let after = try await rig.relationship()
        #expect(after.state == .unprotected && after.owner == "b" && after.source == "b")
        #expect(world.power("orders", at: "b") == .running)
        #expect(rig.disks(at: "b") == held)
        #expect(world.domain("orders", at: "b")?.backup == nil)
        #expect(world.domain("orders", at: "b")?.checkpoints == [])
        try await expectNoOpenJobs(rig)
        #expect(world.write("orders", at: "b", [45: 45]))
        #expect(world.violations == [])
    }

    // MARK: Undo

    @Test func ownershipGoesBackBeforeTheCopyIsWithdrawn() async throws {
        let rig = try await Undertaking.undo.rig(points: 2)
        let fuse = Fuse()
        try await rig.run(.undo, by: rig.engine("undoes", fuse: fuse))
        let claim = try #require(fuse.effects.firstIndex(of: "a.record-ownership"))
        let withdrawn = try #require(fuse.effects.firstIndex { $0 == "b.destroy" || $0 == "b.discard-boot" })
        #expect(claim < withdrawn)
        #expect(try await rig.relationship().state == .protected)
        #expect(rig.world.violations == [])
    }

    /// The source dies after any of the undo's effects: the VM runs at the target, or can be made to.
    @Test func sourceLostInTheMiddleOfAnUndo() async throws {
        let calm = try await Undertaking.undo.rig(points: 2)
        let counter = Fuse()
        try await calm.run(.undo, by: calm.engine("counts", fuse: counter))
        #expect(counter.effects.count >= 5)
        for name in Set(counter.effects).sorted() {
            let rig = try await Undertaking.undo.rig(points: 2)
            let world = rig.world
            let held = try #require(try await rig.newestPoint(at: "b"))
            let fuse = Fuse(.runAfterEffect(name)) { world.lose("a") }
            _ = try? await rig.run(.undo, by: rig.engine("undoes", fuse: fuse))
            #expect(fuse.wentOff)
            if try await rig.relationship().state != .failedOver {
                try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
            }
            let after = try await rig.relationship()
            #expect(after.state == .failedOver && after.owner == "b", "after \(name)")
            #expect(world.power("orders", at: "b") == .running, "after \(name)")
            #expect(rig.disks(at: "b") == held, "after \(name)")
            try await expectNoOpenJobs(rig)
            try await rig.run(.commit)
            world.bringBack("a")
            try await rig.run(.reverse)
            #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"), "after \(name)")
            #expect(world.violations == [], "after \(name)")
        }
    }

    // MARK: Guests that do not stay up

    @Test(arguments: [Undertaking.unplannedFailover, .plannedFailover])
    func guestThatPowersItselfOffIsFailedOver(_ undertaking: Undertaking) async throws {
        let rig = try await undertaking.rig(points: 2)
        rig.world.change { $0.hosts["b"]?.guestsPowerOff = true }
        let points = try await rig.points().map(\.number)
        // Whether the call says so by an error or not, the failover is over.
        _ = try? await undertaking.perform(rig, by: rig.engine)
        let after = try await rig.relationship()
        #expect(after.state == .failedOver && after.owner == "b")
        #expect(after.lastError?.isEmpty == false)
        try await expectNoOpenJobs(rig)
        let said = try await events(rig, .critical)
        #expect(said.contains { $0.contains("orders") && $0.contains("log") }, "\(said)")

        rig.world.change { $0.hosts["b"]?.guestsPowerOff = false }
        let older = String(try #require(points.first))
        let expected = rig.world.store(after.id, at: "b").points.first { String($0.summary.number) == older }?.content
        try await rig.run(.changePoint, "orders", ["point": older])
        #expect(rig.world.power("orders", at: "b") == .running)
        #expect(rig.disks(at: "b") == expected)
        #expect(rig.world.violations == [])
    }

    // MARK: Giving up

    /// The guest was shut down for a failover that failed, and cannot be started again.
    @Test func guestThatCannotBeGivenBackIsSaid() async throws {
        let rig = try await Undertaking.plannedFailover.rig(points: 2)
        rig.world.setFreeBlocks(0, at: "b")
        rig.world.change { $0.hosts["a"]?.startsFail = true }
        _ = try await engineError { try await rig.run(.plannedFailover) }
        #expect(rig.world.power("orders", at: "a") == .off)
        let said = try await events(rig, .critical)
        #expect(said.contains { $0.contains("orders") && $0.contains("QEMU does not start") }, "\(said)")
    }

    /// An engine dies with the last point sealed, and the guest is started by hand before another takes the job up.
    @Test func whatTheGuestWroteBetweenTwoEnginesIsNotLost() async throws {
        let calm = Fuse()
        let model = try await Undertaking.plannedFailover.rig(points: 2)
        try await model.run(.plannedFailover, by: model.engine("counts", fuse: calm))
        let seal = try #require(calm.effects.firstIndex(of: "b.seal-point")) + 1
        let claim = try #require(calm.effects.firstIndex(of: "b.record-ownership")) + 1
        var places = (seal..<claim).map { Fuse.Mode.dieAfterEffect($0) }
        // The writes that record the point and choose it lie between the same two effects.
        var write = 1
        while true {
            let rig = try await Undertaking.plannedFailover.rig(points: 2)
            let fuse = Fuse(.dieAfterWrite(write))
            _ = try? await rig.run(.plannedFailover, by: rig.engine("dies", fuse: fuse))
            if !fuse.wentOff || fuse.effects.count >= claim { break }
            let epoch = try await rig.relationship().epoch
            if fuse.effects.count >= seal && epoch == 1 { places.append(.dieAfterWrite(write)) }
            write += 1
        }
        #expect(places.count >= 4)
        for place in places {
            let rig = try await Undertaking.plannedFailover.rig(points: 2)
            _ = try? await rig.run(.plannedFailover, by: rig.engine("dies", fuse: Fuse(place)))
            #expect(try await rig.relationship().epoch == 1, "\(place)")
            rig.world.startByHand("orders", at: "a")
            rig.world.write("orders", at: "a", [47: 47, 1: -1])
            let last = rig.disks(at: "a")
            _ = try await rig.engine("next").recoverOpenJobs()
            if try await rig.relationship().state != .failedOver { try await rig.run(.plannedFailover) }
            #expect(try await rig.relationship().state == .failedOver, "\(place)")
            #expect(rig.disks(at: "b") == last, "\(place): a planned failover loses nothing")
            #expect(rig.world.violations == [], "\(place)")
        }
    }

    // MARK: The same operation once more

    @Test func otherOptionsThanThoseOfTheOpenJobAreRefused() async throws {
        let rig = try await Undertaking.unplannedFailover.rig(points: 2)
        let arguments = ["point": "2", "source": "fence"]
        _ = try? await rig.run(
            .unplannedFailover, "orders", arguments, by: rig.engine("dies", fuse: Fuse(.dieAfterEffect(2))))
        let open = try #require(try await rig.relationship().activeJob)
        for other in [[:], ["point": "1", "source": "fence"], ["point": "2"]] {
            let error = try await engineError { try await rig.run(.unplannedFailover, "orders", other) }
            #expect(error.kind == .busy)
            #expect(error.rule == "operation-in-progress")
            #expect("\(error)".contains(open))
            #expect(try await rig.relationship().activeJob == open)
        }
        let job = try await rig.run(.unplannedFailover, "orders", arguments)
        #expect(job.id == open)
        #expect(job.facts["point"] == "2")
        #expect(rig.world.violations == [])
    }
}
