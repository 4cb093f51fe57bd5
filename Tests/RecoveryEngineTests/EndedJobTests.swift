import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("What an operation has ended, and cannot put in the place of, waits again when it fails")
struct EndedJobTests {
    private let declared = ["source": "declared lost"]
    private let givenUp = ["target": "declared lost"]

    /// Home again by vault and host, and nowhere else.
    private func isAtHome(_ rig: Rig) async throws -> Bool {
        let after = try await rig.relationship()
        return after.state == .protected && after.owner == "a" && after.activeJob == nil
            && rig.world.power("orders", at: "a") == .running && rig.world.power("orders", at: "b")?.isActive != true
    }

    private func openJob(_ rig: Rig) async throws -> Job? {
        guard let id = try await rig.relationship().activeJob else { return nil }
        return try await rig.vault.read { try $0.object(Job.self, id: id)?.value }
    }

    // MARK: A failover that has ended an undo

    /// The undo has given the VM back to `a`, and waits for `b`, which went away before the copy there was ended; it is back now.
    private func waitingUndo() async throws -> Rig {
        let rig = try await Undertaking.undo.rig(points: 2)
        let world = rig.world
        let fuse = Fuse(.runAfterEffect("a.record-ownership")) { world.cutOff("b") }
        _ = try await engineError { try await rig.run(.undo, by: rig.engine("undoes", fuse: fuse)) }
        let after = try await rig.relationship()
        #expect(after.owner == "a" && after.leftCopy?.verdict == .unknown && after.activeJob != nil)
        world.bringBack("b")
        return rig
    }

    /// The target is lost at any write of a failover that has ended the undo: there is a way back, by evidence and without.
    @Test(arguments: [false, true])
    func targetLostBeforeTheClaim(onEvidence: Bool) async throws {
        var (places, withoutAWord) = (0, 0)
        while true {
            let rig = try await waitingUndo()
            let world = rig.world
            world.cutOff("a")
            let fuse = Fuse(.runAfterWrite(places + 1)) { world.cutOff("b") }
            _ = try? await rig.run(.unplannedFailover, "orders", declared, by: rig.engine("fails", fuse: fuse))
            guard fuse.wentOff else { break }
            places += 1
            // Lost after the last word of it, the target has the VM failed over.
            if try await rig.relationship().state == .failedOver { continue }
            let job = try #require(try await openJob(rig), "write \(places): nothing waits, and nothing leads on")
            // One that has claimed the VM goes on when its target is back.
            guard job.operation == .undo else {
                #expect(job.operation == .unplannedFailover && job.facts["epoch"] != nil, "write \(places)")
                continue
            }
            world.bringBack("a")
            do {
                // Without the target only where the copy there had been ended before.
                try await rig.run(.undo)
                #expect(try await rig.relationship().leftCopy == nil)
                withoutAWord += 1
            } catch let error as EngineError {
                #expect(error.hint?.contains("declared lost") == true, "write \(places)")
                if !onEvidence { world.bringBack("b") }
                try await rig.run(.undo, "orders", onEvidence ? givenUp : [:])
            }
            #expect(try await rig.relationship().state == .protected, "write \(places)")
            #expect(world.power("orders", at: "a") == .running, "write \(places)")
            world.bringBack("b")
            try await SiteWatch(engine: rig.engine) { _ in }.look()
            #expect(world.domain("orders", at: "b")?.isAlive != true, "write \(places)")
        }
        #expect(places >= 3 && (1..<places).contains(withoutAWord))
    }

    @Test("It says so, leads on to another failover too, and its engine's death changes nothing")
    func failsAndFailsOverAgain() async throws {
        var deaths = 0
        while true {
            let rig = try await waitingUndo()
            let world = rig.world
            let former = try #require(try await openJob(rig))
            _ = try await rig.engine.perform(
                .unplannedFailover, on: former.relationship, arguments: declared, hold: .settlePoint)
            world.fallIll("b", .agentCallsHang)
            let fuse = Fuse(.dieAfterWrite(deaths + 1))
            _ = try? await rig.run(.unplannedFailover, "orders", declared, by: rig.engine("dies", fuse: fuse))
            if !fuse.wentOff {
                let ended = try await rig.jobs().filter { $0.state == .cancelled }.map(\.id)
                #expect(ended == [former.id])
                let events = try await rig.vault.read { try $0.events(about: former.relationship, limit: 50) }
                #expect(events.contains { $0.code == "job-waits" && $0.text.contains("waits again") })
            }
            deaths += 1
            _ = try await rig.engine("next").recoverOpenJobs()
            let job = try #require(try await openJob(rig), "death \(deaths)")
            #expect(job.operation == .undo && job.state == .running, "death \(deaths)")
            world.recover("b")
            try await rig.run(.unplannedFailover, "orders", declared)
            #expect(try await rig.relationship().state == .failedOver, "death \(deaths)")
            #expect(world.power("orders", at: "b") == .running && world.power("orders", at: "a")?.isActive != true)
            #expect(world.violations == [], "death \(deaths)")
            guard fuse.wentOff else { break }
        }
        #expect(deaths >= 3)
    }

    // MARK: An undo that has ended a failover

    /// The failover has claimed the VM, and its target is lost before it starts there.
    private func failoverOnItsWay() async throws -> Rig {
        let rig = try await Undertaking.plannedFailover.rig(points: 2)
        let world = rig.world
        let fuse = Fuse(.runAfterEffect("b.create-boot")) { world.lose("b") }
        _ = try? await rig.run(.plannedFailover, by: rig.engine("fails", fuse: fuse))
        #expect(fuse.wentOff)
        return rig
    }

    @Test(
        "An undo that cannot give the VM back leaves the failover as it found it, and that goes on when its target returns"
    )
    func failoverWaitsAgain() async throws {
        let rig = try await failoverOnItsWay()
        let world = rig.world
        let fuse = Fuse(.runAfterEffect("fence")) { world.fallIll("a", .agentHangs) }
        let error = try await engineError {
            try await rig.run(.undo, "orders", ["target": "fence"], by: rig.engine("undoes", fuse: fuse))
        }
        #expect(
            error.kind == .unreachable && error.message.contains("planned-failover, which it had ended, waits again"))
        let job = try #require(try await openJob(rig))
        #expect(job.operation == .plannedFailover && job.facts["epoch"] != nil)
        let after = try await rig.relationship()
        #expect(after.state == .failingOverPlanned && after.owner == "b")
        world.bringBack("b")
        for recovered in try await rig.engine("next").recoverOpenJobs() { #expect(recovered.failure == nil) }
        #expect(try await rig.relationship().state == .failedOver)
        #expect(world.power("orders", at: "b") == .running)
        world.recover("a")
        try await rig.run(.undo)
        #expect(try await isAtHome(rig))
        #expect(world.violations == [])
    }

    @Test("An undo whose fence does not get through can be given again with another word")
    func undoneAgain() async throws {
        let rig = try await failoverOnItsWay()
        rig.world.change { $0.fenceIsBroken = true }
        let error = try await engineError { try await rig.run(.undo, "orders", ["target": "fence"]) }
        #expect(error.kind == .targetNotDown && error.rule == "target-must-be-down")
        #expect(try await openJob(rig)?.operation == .plannedFailover)
        try await rig.run(.undo, "orders", givenUp)
        #expect(try await isAtHome(rig))
        #expect(rig.world.violations == [])
    }
}
