import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Engines that share a vault")
struct LeaseTests {
    @Test(arguments: [Undertaking.sync, .plannedFailover, .unplannedFailover, .changePoint, .undo, .commit, .reverse])
    func suspendedEngineStopsBeforeItsNextEffect(_ undertaking: Undertaking) async throws {
        let calm = try await undertaking.rig(points: 4)
        let undisturbed = Fuse()
        try await undertaking.perform(calm, by: calm.engine("calm", fuse: undisturbed))
        var suspensions = 0
        while true {
            let number = suspensions + 1
            let rig = try await undertaking.rig(points: 4)
            let fuse = Fuse(.suspendAfterEffect(number))
            let first = rig.engine("suspended", fuse: fuse)
            let attempt = Task {
                defer { fuse.stopWatching() }
                try await undertaking.perform(rig, by: first)
            }
            await fuse.waitUntilSuspended()
            guard fuse.wentOff else {
                try await attempt.value
                break
            }
            suspensions += 1
            let done = fuse.effects.count

            let recovered = try await rig.engine("second").recoverOpenJobs()
            #expect(recovered.map(\.job.state) == [.succeeded])
            let (state, disks) = (try await rig.relationship(), rig.disks(at: try await rig.relationship().owner))

            fuse.resume()
            let error = try await engineError { try await attempt.value }
            #expect(error.kind == .leaseLost)
            #expect(fuse.effects.count == done, "after effect \(number) came \(fuse.effects.dropFirst(done))")
            #expect(try await rig.relationship() == state)
            #expect(rig.disks(at: state.owner) == disks)
            #expect(rig.world.violations == [])
        }
        #expect(suspensions > 0 && suspensions == undisturbed.effects.count)
    }

    @Test func oneOfTwoDrivesAndBothHearOfIt() async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [1: 99])
        let fuses = [Fuse(.suspendAfterEffect(2)), Fuse()]
        let engines = [rig.engine("one", fuse: fuses[0]), rig.engine("two", fuse: fuses[1])]
        let first = Task { try await rig.run(.sync, by: engines[0]) }
        await fuses[0].waitUntilSuspended()
        // The lease is good, so the second one waits; it must not act while it does.
        rig.clock.standStill()
        let second = Task { try await rig.run(.sync, by: engines[1]) }
        while rig.clock.sleeping < 2 { await Task.yield() }
        fuses[0].resume()
        let job = try await first.value
        rig.clock.advance(seconds: 1)
        #expect(try await second.value.id == job.id)
        #expect(fuses[1].effects == [])
        #expect(try await rig.points().count == 2)
    }

    @Test func twoCallersInOneEngineShareOneDriver() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let fuse = Fuse(.suspendAfterEffect(2))
        let engine = rig.engine("one", fuse: fuse)
        let first = Task { try await rig.run(.sync, by: engine) }
        await fuse.waitUntilSuspended()
        let second = Task { try await rig.run(.sync, by: engine) }
        let third = Task { try await engine.recoverOpenJobs() }
        for _ in 0..<100 { await Task.yield() }
        fuse.resume()
        let job = try await first.value
        #expect(try await second.value.id == job.id)
        _ = try await third.value
        #expect(fuse.effects.filter { $0 == "a.send-point" }.count == 1)
        #expect(try await rig.points().count == 2)
    }

    @Test func leaseOfALivingEngineIsRenewed() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let fuse = Fuse(.suspendAfterEffect(2))
        // Suspended at its call only: its renewals go on, as in a long copy.
        let living = RecoveryEngine(
            EngineDependencies(
                vault: rig.vault, connections: FakeConnections(world: rig.world, fuse: fuse),
                fencing: FakeFencing(world: rig.world, fuse: fuse), clock: rig.clock, identifiers: rig.identifiers,
                holder: "living"))
        let copy = Task { try await rig.run(.sync, by: living) }
        await fuse.waitUntilSuspended()
        let name = "job:" + (try #require(try await rig.relationship().activeJob))
        for _ in 1...10 {
            while rig.clock.sleeping < 1 { await Task.yield() }
            let before = try await rig.vault.read { try $0.lease(name)?.expiresAt }
            rig.clock.advance(seconds: 5)
            while try await rig.vault.read({ try $0.lease(name)?.expiresAt }) == before { await Task.yield() }
        }
        fuse.resume()
        #expect(try await copy.value.state == .succeeded)
    }
}
