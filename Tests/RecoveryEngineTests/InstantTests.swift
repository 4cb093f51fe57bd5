import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("Application-consistent points: when, how, and that no guest stays frozen")
struct InstantTests {
    private func rig(hours: Int? = nil, agent: FakeGuestAgent = .answers) async throws -> Rig {
        let rig = try await Rig(points: 6)
        if let hours {
            var policy = try await rig.policy()
            policy.applicationConsistentHours = hours
            try await rig.engine.ensurePolicy(policy)
        }
        try await rig.protect()
        setAgent(agent, rig)
        return rig
    }

    private func setAgent(_ agent: FakeGuestAgent, _ rig: Rig, vm: String = "orders") {
        let uuid = rig.world.uuid(vm)
        rig.world.change { $0.hosts["a"]?.domains[uuid]?.agent = agent }
    }

    private func isFrozen(_ rig: Rig) -> Bool { rig.world.domain("orders", at: "a")?.isFrozen ?? false }

    @Test func firstCycleAfterTheIntervalIsApplicationConsistent() async throws {
        let rig = try await rig(hours: 1)
        for _ in 0..<3 { try await rig.cycle() }
        rig.clock.advance(seconds: 3600)
        for _ in 0..<2 { try await rig.cycle() }
        let points = try await rig.points()
        #expect(
            points.map(\.cause) == [.initial, .applicationConsistent, .crashConsistent, .crashConsistent]
                + [.applicationConsistent, .crashConsistent])
        #expect(points.map(\.consistency).filter { $0 == .application }.count == 2)
        #expect(points.allSatisfy { ($0.heldSeconds != nil) == ($0.consistency == .application) })
        #expect(!isFrozen(rig))
        #expect(try await rig.relationship().heldGuest == nil)
    }

    @Test func guestIsFrozenWhileItsBackupBeginsAndNotAfter() async throws {
        let rig = try await rig()
        let fuse = Fuse()
        try await rig.run(.sync, "orders", ["consistency": "application"], by: rig.engine("freezes", fuse: fuse))
        let calls = fuse.effects.filter { ["a.hold", "a.begin-backup", "a.let-go"].contains($0) }
        #expect(calls == ["a.hold", "a.begin-backup", "a.let-go"])
        let hold = try #require(fuse.effects.firstIndex(of: "a.hold"))
        #expect(Array(fuse.effects[hold...(hold + 2)]) == calls, "nothing else lies between")
        #expect(rig.world.domain("orders", at: "a")?.begunWhileHeld.count == 1)
    }

    @Test(arguments: [FakeGuestAgent.absent, .freezesUnheard])
    func pointOfAGuestThatCannotBeFrozenIsMadeAndSaysWhy(_ agent: FakeGuestAgent) async throws {
        let rig = try await rig(hours: 1, agent: agent)
        rig.world.write("orders", at: "a", [7: 7])
        for _ in 0..<3 {
            try await rig.cycle()
            rig.clock.advance(seconds: 3600)
        }
        let points = try await rig.points()
        #expect(points.last?.consistency == .crash && points.last?.crashReason?.contains("orders") == true)
        #expect(try await rig.newestPoint(at: "b")?["vda"]?[7] == 7)
        #expect(!isFrozen(rig))
        #expect(try await rig.relationship().heldGuest == nil)
        let warnings = try await rig.vault.read { try $0.events(about: nil, limit: 1000) }
            .filter { $0.code == "not-application-consistent" }
        #expect(warnings.count == 1, "told once, not at each turn")
        let health = try await rig.engine.health(of: try await rig.relationship().id)
        #expect(health.errors.map(\.code).contains("not-application-consistent"))

        setAgent(.answers, rig)
        try await rig.cycle()
        #expect(try await rig.points().last?.consistency == .application)
        #expect(try await rig.relationship().applicationTrouble == nil)
    }

    @Test func backupThatIsRefusedLeavesTheGuestThawed() async throws {
        let rig = try await rig()
        let calm = Fuse()
        try await rig.run(.sync, "orders", ["consistency": "application"], by: rig.engine("calm", fuse: calm))
        for number in 1...calm.effects.count {
            for mode in [Fuse.Mode.failEffect(number), .loseAnswer(number)] {
                let rig = try await self.rig()
                _ = try? await rig.run(
                    .sync, "orders", ["consistency": "application"], by: rig.engine("fails", fuse: Fuse(mode)))
                #expect(!isFrozen(rig), "\(mode): \(calm.effects[number - 1])")
                #expect(try await rig.relationship().heldGuest == nil)
            }
        }
    }

    @Test(arguments: CrashTests.Place.allCases)
    func engineThatDiesAnywhereLeavesAGuestThatTheNextOneThaws(_ place: CrashTests.Place) async throws {
        var (deaths, frozen) = (0, 0)
        while true {
            let rig = try await rig()
            let fuse = Fuse(place.mode(deaths + 1))
            _ = try? await rig.run(.sync, "orders", ["consistency": "application"], by: rig.engine("dies", fuse: fuse))
            guard fuse.wentOff else { break }
            deaths += 1
            if isFrozen(rig) { frozen += 1 }
            for recovered in try await rig.engine("next").recoverOpenJobs() { #expect(recovered.failure == nil) }
            #expect(!isFrozen(rig), "death \(deaths): \(fuse.effects.suffix(2))")
            #expect(try await rig.relationship().heldGuest == nil)
            #expect(rig.world.violations == [])
            #expect(rig.world.write("orders", at: "a", [9: 9]), "the guest writes")
        }
        #expect(deaths > 6)
        if place == .afterEffect { #expect(frozen >= 2, "some died while the guest was frozen") }
    }

    @Test func guestThatCannotBeToldToGoOnIsThawedLater() async throws {
        let rig = try await rig(agent: .freezesUnheard)
        let engine = rig.engine(
            "freezes", fuse: Fuse(.runAfterEffect("a.hold")) { [setAgent] in setAgent(.absent, rig, "orders") })
        try await rig.run(.sync, "orders", ["consistency": "application"], by: engine)
        #expect(isFrozen(rig))
        #expect(try await rig.relationship().heldGuest?.hold == .frozen)
        #expect(try await rig.vault.read { try $0.events(about: nil, limit: 100) }.contains { $0.code == "guest-held" })
        setAgent(.answers, rig)
        try await rig.engine.releaseHeldGuests()
        #expect(!isFrozen(rig))
        #expect(try await rig.relationship().heldGuest == nil)
    }

    @Test func copyWhoseOwnershipHasEndedIsNotMadeToRun() async throws {
        let rig = try await rig()
        let (id, uuid) = (try await rig.relationship().id, rig.world.uuid("orders"))
        rig.world.change { state in
            state.hosts["a"]?.domains[uuid]?.power = .paused
            state.hosts["a"]?.domains[uuid]?.linksAreUp = false
        }
        try await rig.vault.write { vault in
            var stored = try #require(try vault.object(Relationship.self, id: id))
            stored.value.heldGuest = HeldGuest(host: "a", hold: .paused, since: Timestamp(milliseconds: 0))
            try vault.update(stored)
        }
        rig.world.cutOff("a")
        try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        rig.world.bringBack("a")
        try await rig.engine.releaseHeldGuests()
        #expect(rig.world.power("orders", at: "a") == .paused)
        #expect(try await rig.relationship().heldGuest == nil)
        #expect(rig.world.violations == [])
    }

    @Test func failoverTakesTheNewestApplicationConsistentPoint() async throws {
        let rig = try await rig()
        try await rig.run(.sync, "orders", ["consistency": "application"])
        try await rig.cycle()
        rig.world.lose("a")
        let job = try await rig.run(
            .unplannedFailover, "orders", ["point": "application-consistent", "source": "declared lost"])
        #expect(job.facts["point"] == "2")
    }

    @Test func unknownWordIsRefused() async throws {
        let rig = try await rig()
        let error = try await engineError { try await rig.run(.sync, "orders", ["consistency": "perfect"]) }
        #expect(error.kind == .invalid)
    }
}
