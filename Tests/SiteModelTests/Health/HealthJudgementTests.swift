import SiteModel
import Testing

@Suite("Health of replication, at the edges of the reference's 7.2")
struct HealthJudgementTests {
    static let start = Timestamp(milliseconds: 1_800_000_000_000)

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var health: ReplicationHealth
        /// Codes, the worst first.
        var codes: [String]
        var change: @Sendable (inout HealthFacts) -> Void
    }

    /// Sound replication at a copy frequency of 30 s: 10 cycles made, the newest point 10 s old.
    private static func sound() -> HealthFacts {
        let now = start.advanced(bySeconds: 40_000)
        var statistics = ReplicationStatistics(
            relationship: "r", window: MonitoringWindow(start: start, end: start.advanced(bySeconds: 43_200)),
            since: start)
        statistics.counts.succeeded = 10
        statistics.accountedUntil = now.advanced(bySeconds: -10)
        return HealthFacts(
            name: "orders", state: .protected, now: now, frequency: 30, newestPoint: now.advanced(bySeconds: -10),
            statistics: statistics)
    }

    private static func counts(_ succeeded: Int, _ missed: Int) -> @Sendable (inout HealthFacts) -> Void {
        { facts in
            facts.statistics?.counts.succeeded = succeeded
            facts.statistics?.counts.missed = missed
        }
    }

    private static func latency(_ sum: Double, of cycles: Int) -> @Sendable (inout HealthFacts) -> Void {
        { facts in
            facts.statistics?.counts.succeeded = cycles
            facts.statistics?.counts.latencySum = sum
        }
    }

    private static func age(_ seconds: Double) -> @Sendable (inout HealthFacts) -> Void {
        { facts in
            facts.newestPoint = facts.now.advanced(bySeconds: -seconds)
            facts.statistics?.accountedUntil = facts.now
        }
    }

    private static func state(_ state: ReplicationState, pausedAt side: ReplicationSide = .source)
        -> @Sendable (inout HealthFacts) -> Void
    {
        { facts in
            facts.state = state
            facts.pausedAt = side
        }
    }

    static let cases: [Case] = [
        Case(testDescription: "all is well", health: .normal, codes: []) { _ in },
        Case(testDescription: "no statistics yet", health: .normal, codes: []) { $0.statistics = nil },
        Case(testDescription: "20 % missed", health: .normal, codes: [], change: counts(8, 2)),
        Case(testDescription: "20.1 % missed", health: .warning, codes: ["cycles-missed"], change: counts(799, 201)),
        Case(testDescription: "all missed", health: .warning, codes: ["cycles-missed"], change: counts(0, 1)),
        Case(testDescription: "nothing was due", health: .normal, codes: [], change: counts(0, 0)),
        Case(testDescription: "the cycle due now is not missed", health: .normal, codes: []) { facts in
            facts.statistics?.counts.succeeded = 3
            facts.statistics?.accountedUntil = facts.now.advanced(bySeconds: -59)
        },
        Case(testDescription: "a cycle nobody began is missed", health: .warning, codes: ["cycles-missed"]) { facts in
            facts.statistics?.counts.succeeded = 3
            facts.statistics?.accountedUntil = facts.now.advanced(bySeconds: -60)
        },
        Case(testDescription: "just under an hour", health: .normal, codes: [], change: age(3599.999)),
        Case(testDescription: "an hour", health: .warning, codes: ["out-of-date"], change: age(3600)),
        Case(testDescription: "5 min of latency", health: .normal, codes: [], change: latency(600, of: 2)),
        Case(testDescription: "more than that", health: .warning, codes: ["slow"], change: latency(600.002, of: 2)),
        Case(testDescription: "one attempt failed", health: .critical, codes: ["cannot-send"]) { facts in
            facts.statistics?.failure = CycleFailure(
                cause: .network, message: "b does not answer", hint: "start it", at: facts.now)
        },
        Case(
            testDescription: "failing and out of date: the worst first", health: .critical,
            codes: ["cannot-send", "out-of-date"]
        ) { facts in
            age(4000)(&facts)
            facts.statistics?.failure = CycleFailure(cause: .storage, message: "full", hint: nil, at: facts.now)
        },
        Case(testDescription: "unprotected", health: .notApplicable, codes: [], change: state(.unprotected)),
        Case(testDescription: "paused", health: .warning, codes: ["paused"], change: state(.paused)),
        Case(
            testDescription: "paused at the target", health: .critical, codes: ["paused-at-target"],
            change: state(.paused, pausedAt: .target)),
        Case(testDescription: "stopped", health: .critical, codes: ["replication-stopped"], change: state(.error)),
        Case(testDescription: "resync", health: .critical, codes: ["resync-required"], change: state(.resyncRequired)),
        Case(
            testDescription: "resync under way", health: .critical, codes: ["resync-required"],
            change: state(.resynchronizing)),
        Case(
            testDescription: "resync held", health: .critical, codes: ["resync-required"], change: state(.resyncPaused)),
        Case(
            testDescription: "first copy outstanding", health: .warning, codes: ["first-copy-incomplete"],
            change: state(.firstCopyPending)),
        Case(
            testDescription: "first copy under way", health: .warning, codes: ["first-copy-incomplete"],
            change: state(.firstCopy)),
        Case(testDescription: "failed over", health: .warning, codes: ["not-reversed"], change: state(.failedOver)),
        Case(testDescription: "committed", health: .warning, codes: ["not-reversed"], change: state(.committed)),
        Case(testDescription: "failing over", health: .warning, codes: ["not-reversed"], change: state(.failingOver)),
        Case(
            testDescription: "planned failover", health: .warning, codes: ["not-reversed"],
            change: state(.failingOverPlanned)),
        Case(testDescription: "reversing", health: .warning, codes: ["not-reversed"], change: state(.reversing)),
        Case(testDescription: "a test runs", health: .normal, codes: [], change: state(.testing)),
    ]

    @Test("Thresholds", arguments: cases)
    func thresholds(each: Case) {
        var facts = Self.sound()
        each.change(&facts)
        let judgement = HealthJudgement(facts)
        #expect(judgement.health == each.health)
        #expect(judgement.errors.map(\.code) == each.codes)
        for error in judgement.errors {
            #expect(error.message.contains("orders") && error.message.hasSuffix(".") || error.code == "cannot-send")
            #expect(!error.recommendation.isEmpty)
        }
    }

    @Test(
        "Every state is judged, and only one that is not replicated is not applicable",
        arguments: ReplicationState.allCases)
    func everyState(state: ReplicationState) {
        var facts = Self.sound()
        facts.state = state
        #expect((HealthJudgement(facts).health == .notApplicable) == (state == .unprotected))
        #expect((HealthJudgement(facts).health == .normal) == state.isCopied)
    }

    @Test("A recovery point is as old as the instant it shows; after a failover all since then is at stake")
    func recoveryPointAge() {
        var facts = Self.sound()
        facts.statistics?.lastArrival = facts.now
        #expect(HealthJudgement(facts).recoveryPointAge == 10, "not since its arrival")
        facts.newestPoint = nil
        #expect(HealthJudgement(facts).recoveryPointAge == nil)
        facts.newestPoint = facts.now.advanced(bySeconds: 5)
        #expect(
            HealthJudgement(facts).recoveryPointAge == 0, "a clock that was put back makes no point younger than now")
        facts.failedOverAt = facts.now.advanced(bySeconds: -500)
        for state in [ReplicationState.failedOver, .committed, .reversing] {
            facts.state = state
            #expect(HealthJudgement(facts).recoveryPointAge == 500)
        }
        facts.state = .unprotected
        #expect(HealthJudgement(facts).recoveryPointAge == nil)
    }

    @Test(
        "Alerts at twice and three times the copy frequency",
        arguments: [
            (60.0, 30.0, nil), (60.001, 30, .warning), (90, 30, .warning), (90.001, 30, .critical), (1800, 900, nil),
            (1801, 900, .warning), (2701, 900, .critical), (.infinity, 30, .critical),
        ] as [(Double, Double, AgeAlert?)])
    func ageAlerts(age: Double, frequency: Double, alert: AgeAlert?) {
        #expect(AgeAlert.of(age: age, frequency: frequency) == alert)
    }
}
