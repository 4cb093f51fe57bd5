import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("What is over goes after a time")
struct HistoryTests {
    private static let day = 86_400.0

    private func limits(_ change: (inout HistoryLimits) -> Void) -> HistoryLimits {
        var limits = HistoryLimits()
        change(&limits)
        return limits
    }

    private func job(
        _ id: String, _ operation: SiteModel.Operation = .sync, of relationship: String = "r", days: Double,
        state: JobState = .succeeded, run: String? = nil, now: Timestamp
    ) -> Job {
        let at = now.advanced(bySeconds: -days * Self.day)
        var job = Job(
            id: id, operation: operation, relationship: relationship, arguments: [:], origin: .protected, stages: [],
            startedAt: at, run: run)
        job.state = state
        if !state.isOpen { job.endedAt = at }
        return job
    }

    private func event(
        _ text: String, days: Double = 0, severity: Event.Severity = .info, about object: String? = nil, now: Timestamp
    ) -> Event {
        Event(at: now.advanced(bySeconds: -days * Self.day), severity: severity, object: object, text: text)
    }

    private func texts(_ rig: Rig) async throws -> [String] {
        try await rig.vault.read { try $0.events(after: 0, limit: 10_000).map(\.event.text) }
    }

    private func jobs(_ rig: Rig, of relationship: String = "r") async throws -> Set<String> {
        Set(try await rig.vault.read { try $0.objects(Job.self, parent: relationship).map(\.value.id) })
    }

    @Test("Cycles go when there are more than the limit, other jobs and the last of each kind stay")
    func cycles() async throws {
        let rig = try await Rig()
        let now = rig.clock.now
        try await rig.vault.write { vault in
            for number in 0..<10 { try vault.insert(job("sync\(number)", days: Double(number), now: now)) }
            try vault.insert(job("failover", .plannedFailover, days: 50, now: now))
            try vault.insert(job("test", .testFailover, days: 60, now: now))
            try vault.insert(job("failed", days: 80, state: .failed, now: now))
            try vault.insert(job("other", of: "other", days: 50, now: now))
        }
        let pruned = try await rig.engine.pruneHistory(limits { $0.cyclesOfVM = 4 })
        #expect(pruned.jobs == 6)
        #expect(try await jobs(rig) == ["sync0", "sync1", "sync2", "sync3", "failover", "test", "failed"])
        #expect(try await jobs(rig, of: "other") == ["other"])
    }

    @Test("Other jobs have a limit of their own, and nothing is kept beyond the days but the last of its kind")
    func others() async throws {
        let rig = try await Rig()
        let now = rig.clock.now
        try await rig.vault.write { vault in
            for number in 0..<6 {
                try vault.insert(job("pause\(number)", .pause, days: Double(number), now: now))
            }
            for days in [89.0, 91, 100] { try vault.insert(job("sync\(Int(days))", days: days, now: now)) }
        }
        try await rig.engine.pruneHistory(limits { $0.jobsOfVM = 3 })
        #expect(try await jobs(rig) == ["pause0", "pause1", "pause2", "sync89"])
    }

    @Test("Open jobs, jobs of runs under way, and jobs that a plan's run names stay, however old")
    func named() async throws {
        let rig = try await Rig()
        let now = rig.clock.now
        try await rig.vault.write { vault in
            try vault.insert(job("newest", days: 0, now: now))
            try vault.insert(job("spent", days: 200, now: now))
            try vault.insert(job("open", .plannedFailover, days: 200, state: .running, now: now))
            try vault.insert(job("of a run", days: 200, run: "run", now: now))
            try vault.insert(job("of a dead run", days: 200, run: "dead", now: now))
            try vault.insert(job("of an ended run", days: 200, run: "ended", now: now))
            try vault.insert(job("of a plan", days: 200, now: now))
            for (id, days) in [("run", 1.0), ("dead", 200), ("ended", 1)] {
                var run = Run(
                    id: id, script: "x.lua", text: "", startedAt: now.advanced(bySeconds: -days * Self.day))
                if id == "ended" { run.endedAt = now }
                try vault.insert(run)
            }
            var step = PlanStep(id: "step", name: "vm:orders", planRun: "plan run", group: "one")
            step.job = "of a plan"
            try vault.insert(step)
        }
        try await rig.engine.pruneHistory()
        #expect(try await jobs(rig) == ["newest", "open", "of a run", "of a plan"])
    }

    @Test("Runs of scripts go by number and age; those under way, and those that a plan's run names, stay")
    func runs() async throws {
        let rig = try await Rig()
        let now = rig.clock.now
        try await rig.vault.write { vault in
            for (id, days, ended) in [
                ("new", 1.0, true), ("second", 2, true), ("third", 3, true), ("live", 4, false), ("asked", 5, true),
                ("old", 91, true), ("dead", 92, false), ("old and lives", 93, false),
            ] {
                let at = now.advanced(bySeconds: -days * Self.day)
                var run = Run(id: id, script: "x.lua", text: "", startedAt: at)
                if ended { run.endedAt = at }
                try vault.insert(run)
            }
            for id in ["old and lives", "third"] {
                _ = try vault.acquireLease(RecoveryEngine.runLeaseName(id), holder: "x", now: now, lifetime: 15)
            }
            try vault.insert(
                PlanRun(
                    id: "plan run", plan: "p", operation: .planned, direction: .primaryToRecovery, arguments: [:],
                    startedAt: now, run: "asked"))
        }
        func left() async throws -> Set<String> {
            Set(try await rig.vault.read { try $0.objects(Run.self).map(\.value.id) })
        }
        #expect(try await rig.engine.pruneHistory(limits { $0.runs = 2 }).runs == 2)
        #expect(try await left() == ["new", "second", "third", "live", "asked", "old and lives"], "third is in hands")
        rig.clock.advance(seconds: 60)
        #expect(try await rig.engine.pruneHistory(limits { $0.runs = 2 }).runs == 2)
        #expect(try await left() == ["new", "second", "live", "asked"])
    }

    @Test(
        "Runs of plans go with their steps, and then the jobs that they named; the last of each kind, and open ones, stay"
    )
    func planRuns() async throws {
        let rig = try await Rig()
        let now = rig.clock.now
        try await rig.vault.write { vault in
            func insert(_ id: String, _ operation: PlanOperation, days: Double, _ state: PlanRunState) throws {
                var run = PlanRun(
                    id: id, plan: "p", operation: operation, direction: .primaryToRecovery, arguments: [:],
                    startedAt: now.advanced(bySeconds: -days * Self.day), run: nil)
                run.state = state
                try vault.insert(run)
                var step = PlanStep(id: "step of \(id)", name: "vm:orders", planRun: id, group: "one")
                step.job = "job of \(id)"
                try vault.insert(step)
                try vault.insert(job("job of \(id)", .plannedFailover, days: days, now: now))
            }
            try insert("newest", .test, days: 1, .succeeded)
            try insert("second", .test, days: 2, .succeeded)
            try insert("old", .test, days: 100, .succeeded)
            try insert("last failover", .planned, days: 300, .succeeded)
            try insert("taken up again", .unplanned, days: 300, .stopped)
        }
        func left() async throws -> [Set<String>] {
            try await rig.vault.read { vault in
                [
                    Set(try vault.objects(PlanRun.self).map(\.value.id)),
                    Set(try vault.objects(PlanStep.self).map(\.value.planRun)),
                ]
            }
        }
        #expect(try await rig.engine.pruneHistory().runs == 1)
        let kept: Set = ["newest", "second", "last failover", "taken up again"]
        #expect(try await left() == [kept, kept])
        #expect(try await jobs(rig).contains("job of old"), "it was named when the jobs were looked at")
        try await rig.engine.pruneHistory()
        #expect(try await jobs(rig) == Set(kept.map { "job of \($0)" }))
        #expect(try await rig.engine.pruneHistory(limits { $0.runsOfPlan = 1 }).runs == 1)
        #expect(try await left()[0] == kept.subtracting(["second"]))
    }

    @Test("A job that somebody still has in hands is left for the next time; the lease of one that went is forgotten")
    func leases() async throws {
        let rig = try await Rig()
        let now = rig.clock.now
        try await rig.vault.write { vault in
            for id in ["newest", "held", "dropped"] {
                try vault.insert(job(id, days: id == "newest" ? 0 : 200, now: now))
                let lease = try vault.acquireLease("job:\(id)", holder: "engine", now: now, lifetime: 15)
                if id == "dropped" { try vault.release(lease) }
            }
        }
        try await rig.engine.pruneHistory()
        #expect(try await jobs(rig) == ["newest", "held"])
        let epochs = try await rig.vault.write { vault in
            try ["newest", "dropped"].map {
                try vault.acquireLease("job:\($0)", holder: "other", now: now.advanced(bySeconds: 60), lifetime: 1)
                    .epoch
            }
        }
        #expect(epochs == [2, 1])
        rig.clock.advance(seconds: 60)
        try await rig.engine.pruneHistory()
        #expect(try await jobs(rig) == ["newest"])
    }

    @Test("Old events go; among those beyond the limit, warnings stay up to theirs")
    func events() async throws {
        let rig = try await Rig()
        let now = rig.clock.now
        let before = try await rig.vault.read { try $0.lastEventNumber() }
        try await rig.vault.write { vault in
            try vault.append(event("old warning", days: 91, severity: .critical, now: now))
            try vault.append(event("old", days: 91, now: now))
            for number in 0..<4 {
                try vault.append(event("warning \(number)", days: 10, severity: .warning, now: now))
                try vault.append(event("info \(number)", days: 10, now: now))
            }
            for number in 0..<3 { try vault.append(event("new \(number)", now: now)) }
        }
        let pruned = try await rig.engine.pruneHistory(
            limits {
                $0.events = 5
                $0.warnings = 2
            })
        // Setting the rig up told of itself, too.
        #expect(pruned.events == before + 2 + 3 + 1)
        #expect(
            try await texts(rig)
                == ["warning 1", "warning 2", "warning 3", "info 3", "new 0", "new 1", "new 2"])
        let number = try await rig.vault.read { try $0.lastEventNumber() }
        #expect(number == before + 13, "numbers go on from where they were")
        #expect(
            try await rig.engine.pruneHistory(
                limits {
                    $0.events = 5; $0.warnings = 2
                }) == PrunedHistory())
    }

    @Test("Events that an alert has not looked at, of open jobs and of runs under way stay")
    func heldEvents() async throws {
        let rig = try await Rig()
        rig.clock.advance(seconds: 200 * Self.day)
        let now = rig.clock.now
        try await rig.vault.write { vault in
            try vault.insert(job("open", .plannedFailover, days: 150, state: .running, now: now))
            try vault.insert(
                Run(id: "run", script: "x.lua", text: "", startedAt: now.advanced(bySeconds: -Self.day)))
            try vault.insert(
                PlanRun(
                    id: "plan run", plan: "p", operation: .planned, direction: .primaryToRecovery, arguments: [:],
                    startedAt: now, run: nil))
            try vault.append(event("before the job", days: 160, about: "r", now: now))
            try vault.append(event("of the job", days: 140, about: "r", now: now))
            try vault.append(event("of the run", days: 140, about: "run", now: now))
            try vault.append(event("of the plan's run", days: 140, about: "plan run", now: now))
            try vault.append(event("of another VM", days: 140, about: "s", now: now))
            try vault.append(event("not yet told", days: 140, about: "s", now: now))
            try vault.append(event("newest", now: now))
            try vault.insert(AlertRule(id: "rule", name: "duty", webhook: "https://hooks.example.org/x"))
            try vault.insert(AlertOutbox(rule: "rule", cursor: try vault.lastEventNumber() - 2))
            // Of a rule that is gone: nobody waits for it.
            try vault.insert(AlertOutbox(rule: "gone", cursor: 0))
        }
        try await rig.engine.pruneHistory()
        #expect(
            try await texts(rig) == ["of the job", "of the run", "of the plan's run", "not yet told", "newest"])
    }

    @Test("The newest event stays, however old: its number is what the next is counted from")
    func newest() async throws {
        let rig = try await Rig()
        let number = try await rig.vault.write { vault in
            try vault.append(event("last", now: rig.clock.now))
            return try vault.lastEventNumber()
        }
        rig.clock.advance(seconds: 200 * Self.day)
        try await rig.engine.pruneHistory()
        #expect(try await texts(rig) == ["last"])
        try await rig.vault.write { try $0.append(event("next", now: rig.clock.now)) }
        #expect(try await rig.vault.read { try $0.lastEventNumber() } == number + 1)
    }

    @Test("The replicator prunes by itself, and an item's history is as long as the limits say")
    func duty() async throws {
        #expect(Duty.standard.contains { $0.name == "prune-history" && $0.interval == HistoryLimits.interval })
        let rig = try await Rig()
        try await rig.protect()
        let id = try await rig.relationship().id
        for _ in 0..<6 {
            try await rig.cycle()
        }
        let pruned = try await rig.engine.pruneHistory(limits { $0.cyclesOfVM = 2 })
        #expect(pruned.jobs == 4)
        let left = try await rig.vault.read { try $0.objects(Job.self, parent: id).map(\.value.operation) }
        #expect(left.count { $0 == .sync } == 2 && left.contains(.protect))
        // Nothing that is shown misses what went.
        #expect(try await rig.engine.status().map(\.relationship.state) == [.protected])
        try await rig.cycle()
        #expect(rig.world.violations == [])
    }
}
