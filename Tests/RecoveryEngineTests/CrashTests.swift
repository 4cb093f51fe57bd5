import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("An engine that dies anywhere, and what the next one makes of it")
struct CrashTests {
    /// Where engines die: each is right after the n-th event of its kind.
    enum Place: String, CaseIterable, Sendable {
        case afterWrite
        case afterEffect

        func mode(_ number: Int) -> Fuse.Mode {
            switch self {
            case .afterWrite: .dieAfterWrite(number)
            case .afterEffect: .dieAfterEffect(number)
            }
        }
    }

    @Test(arguments: Undertaking.allCases, Place.allCases)
    func everyDeathEndsAsIfNothingHadHappened(_ undertaking: Undertaking, _ place: Place) async throws {
        let calm = try await undertaking.rig(points: 2)
        try await undertaking.perform(calm, by: calm.engine("calm"))
        let expected = try await Outcome(calm)

        var deaths = 0
        while true {
            let rig = try await undertaking.rig(points: 2)
            let earlier = try await undertaking.jobsBefore(rig)
            let fuse = Fuse(place.mode(deaths + 1))
            try? await undertaking.perform(rig, by: rig.engine("dies", fuse: fuse))
            guard fuse.wentOff else { break }
            deaths += 1
            let comment: Comment = "death \(deaths): \(fuse.effects.suffix(3))"
            #expect(rig.world.violations == [], comment)

            let next = rig.engine("next")
            for recovered in try await next.recoverOpenJobs() {
                #expect(recovered.failure == nil, "\(comment): \(recovered.failure?.message ?? "")")
            }
            if try await !undertaking.isDone(rig, since: earlier) { try await undertaking.perform(rig, by: next) }
            #expect(try await Outcome(rig) == expected, comment)
        }
        #expect(deaths >= (place == .afterWrite ? 6 : 1))
    }

    /// The next engine dies as well, and the one after it must cope with what two have left.
    @Test(arguments: [Undertaking.plannedFailover, .unplannedFailover, .undo, .reverse])
    func twoDeathsInARowEndAsIfNothingHadHappened(_ undertaking: Undertaking) async throws {
        let calm = try await undertaking.rig(points: 2)
        try await undertaking.perform(calm, by: calm.engine("calm"))
        let expected = try await Outcome(calm)
        var pairs = 0
        defer { #expect(pairs >= 3) }
        for first in 1... {
            // The second one dies at its first, thirteenth, ... effect.
            for second in stride(from: 1, to: 40, by: 12) {
                let rig = try await undertaking.rig(points: 2)
                let earlier = try await undertaking.jobsBefore(rig)
                let (one, two) = (Fuse(.dieAfterEffect(first)), Fuse(.dieAfterEffect(second)))
                try? await undertaking.perform(rig, by: rig.engine("dies", fuse: one))
                guard one.wentOff else { return }
                _ = try? await rig.engine("dies too", fuse: two).recoverOpenJobs()
                guard two.wentOff else { break }
                pairs += 1
                let next = rig.engine("next")
                try await next.recoverOpenJobs()
                if try await !undertaking.isDone(rig, since: earlier) { try await undertaking.perform(rig, by: next) }
                #expect(try await Outcome(rig) == expected, "deaths after effects \(first) and \(second)")
            }
        }
    }

    /// How a call fails: it did not happen, or it did and nobody hears of it.
    enum Failure: String, CaseIterable, Sendable {
        case call, answer
    }

    @Test(arguments: Undertaking.allCases, Failure.allCases)
    func everyFailedCallCanBeRepeated(_ undertaking: Undertaking, _ failure: Failure) async throws {
        let calm = try await undertaking.rig(points: 20)
        let undisturbed = Fuse()
        try await undertaking.perform(calm, by: calm.engine("calm", fuse: undisturbed))
        let expected = try await Outcome(calm)
        var failures = 0
        while true {
            let number = failures + 1
            let rig = try await undertaking.rig(points: 20)
            let earlier = try await undertaking.jobsBefore(rig)
            let fuse = Fuse(failure == .call ? .failEffect(number) : .loseAnswer(number))
            let engine = rig.engine("meets a failure", fuse: fuse)
            try? await undertaking.perform(rig, by: engine)
            guard fuse.wentOff else { break }
            failures += 1
            #expect(rig.world.violations == [])
            if try await !undertaking.isDone(rig, since: earlier) { try await undertaking.perform(rig, by: engine) }
            let failed = fuse.effects[number - 1]
            var outcome = try await Outcome(rig)
            if Self.isRecordAtStandby(failed, undertaking, outcome) {
                // A side that does not take the record holds up nothing: it is said, and made good by the next reversal.
                let events = try await rig.vault.read { try $0.events(about: nil, limit: 10_000) }
                #expect(events.contains { $0.severity == .warning && $0.text.contains("did not take") })
                outcome.recordedOwners = expected.recordedOwners
            }
            #expect(outcome == expected, "failure of effect \(number), \(failed)")
        }
        #expect(failures > 0 && failures == undisturbed.effects.count)
    }

    private static func isRecordAtStandby(
        _ effect: String, _ undertaking: Undertaking, _ outcome: Outcome
    ) -> Bool {
        let standby = outcome.owner == "a" ? "b" : "a"
        return undertaking.operation != .reverse && outcome.epoch > 1
            && ["\(standby).record-ownership", "\(standby).set-ownership"].contains(effect)
    }

    /// A failover that could not be made gave the guest back to its source, and its engine died before it could say so.
    @Test func deathAfterGivingUpMakesNoSecondCopy() async throws {
        func failing(_ fuse: Fuse) async throws -> Rig {
            let rig = try await Undertaking.plannedFailover.rig(points: 2)
            rig.world.setFreeBlocks(0, at: "b")
            try? await Undertaking.plannedFailover.perform(rig, by: rig.engine("gives up", fuse: fuse))
            return rig
        }
        let calm = Fuse()
        _ = try await failing(calm)
        let restart = try #require(calm.effects.lastIndex(of: "a.start"))
        let rig = try await failing(Fuse(.dieAfterEffect(restart + 1)))
        #expect(rig.world.power("orders", at: "a") == .running)
        rig.world.write("orders", at: "a", [33: 33])
        rig.world.setFreeBlocks(1000, at: "b")
        let recovered = try await rig.engine("next").recoverOpenJobs()
        #expect(recovered.map(\.job.state) == [.succeeded])
        #expect(rig.disks(at: "b")["vda"]?[33] == 33, "a planned failover loses nothing")
        #expect(rig.world.power("orders", at: "a") == .off)
        #expect(rig.world.violations == [])
    }

    /// The source came back and runs the VM while nobody drove the failover: it is stopped before ownership goes over.
    @Test func sourceThatRunsAgainIsStoppedBeforeTheClaim() async throws {
        for undertaking in [Undertaking.unplannedFailover, .failoverByFence] {
            let rig = try await undertaking.rig(points: 2)
            let fuse = Fuse(.dieAfterWrite(6))
            try? await undertaking.perform(rig, by: rig.engine("dies", fuse: fuse))
            #expect(try await rig.relationship().epoch == 1)
            rig.world.bringBack("a")
            rig.world.startByHand("orders", at: "a")
            try await rig.engine("next").recoverOpenJobs()
            #expect(rig.world.violations == [])
            #expect(try await rig.relationship().state == .failedOver)
            #expect(rig.world.power("orders", at: "b") == .running)
        }
    }
}
