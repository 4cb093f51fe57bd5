import SiteModel
import Testing

@Suite("Which operation comes next")
struct NextStepsTests {
    @Test(
        "Each state's advice names exactly what the table allows there, each once", arguments: ReplicationState.allCases
    )
    func complete(state: ReplicationState) {
        let advised = Advice.steps(in: state).map(\.operation)
        #expect(Set(advised).count == advised.count)
        #expect(Set(advised) == Set(TransitionTable.allowed(in: state)))
        #expect(Advice.steps(in: state).allSatisfy { $0.why.count > 10 })
    }

    @Test(
        "No state is a dead end: each has a recommended way on, or says what to wait for",
        arguments: ReplicationState.allCases)
    func noDeadEnd(state: ReplicationState) {
        let next = Guards.next(
            for: Sample.relationship(state), item: nil, facts: SiteFacts(sourceReachable: true, targetReachable: true))
        if next.steps.isEmpty {
            #expect([.failingOver, .failingOverPlanned].contains(state) && next.summary.contains("Wait"))
        }
        #expect(next.steps.count + next.refused.count == Operation.allCases.count)
        #expect(next.refused.allSatisfy { !$0.rule.hint.isEmpty && !$0.rule.sentence.isEmpty })
    }

    @Test(
        "The recommended step of each state",
        arguments: [
            (ReplicationState.unprotected, Operation.protect), (.firstCopyPending, .startFirstCopy),
            (.protected, .testFailover), (.paused, .resume), (.error, .resume), (.resyncRequired, .resync),
            (.resyncPaused, .resume), (.testing, .cleanUpTest), (.failedOver, .commit), (.committed, .reverse),
        ])
    func recommended(state: ReplicationState, operation: Operation) {
        #expect(Advice.steps(in: state).first?.operation == operation)
    }

    @Test("Where the source is silent an unplanned failover comes first")
    func lost() {
        let facts = SiteFacts(sourceReachable: false, targetReachable: true)
        for state in [ReplicationState.protected, .paused, .error, .resyncRequired] {
            let next = Guards.next(for: Sample.relationship(state), item: nil, facts: facts)
            #expect(next.steps.first?.operation == .unplannedFailover, "\(state.rawValue)")
            #expect(next.steps.first?.why.contains("does not answer") == true)
        }
    }

    @Test("Where the target of a failover is silent and the source is whole, an undo comes first")
    func targetLost() {
        var facts = SiteFacts(sourceReachable: true, targetReachable: false, sourceIntact: true)
        var relationship = Sample.relationship(.failedOver)
        let next = Guards.next(for: relationship, item: nil, facts: facts)
        #expect(next.steps.map(\.operation) == [.undo])
        #expect(next.steps.first?.why.contains("declared lost") == true)
        #expect(next.steps.first?.needs == ["target"])
        #expect(!next.refused.contains { $0.operation == .undo }, "it is a way on, given the word")
        // Who asks for it as it is gets the refusal that it would meet.
        let plain = Guards.check(.undo, on: relationship, item: nil, facts: facts)
        #expect(plain?.rule == RuleBook.targetMustBeDown)
        // The same before the failover has come to its end.
        relationship.state = .failingOver
        relationship.activeJob = "j"
        facts.activeOperation = .unplannedFailover
        #expect(Guards.next(for: relationship, item: nil, facts: facts).steps.map(\.operation) == [.undo])
        facts.targetReachable = true
        #expect(Guards.next(for: relationship, item: nil, facts: facts).steps.isEmpty)
    }

    @Test("Where facts refuse everything, the summary says what has to be so first")
    func nothingNow() {
        let next = Guards.next(
            for: Sample.relationship(.failedOver), item: nil,
            facts: SiteFacts(sourceReachable: false, targetReachable: false))
        #expect(next.steps.isEmpty)
        #expect(next.summary.contains(RuleBook.targetNeeded.hint), "\(next.summary)")
    }

    @Test("A cause that stopped replication is in the summary, with what is recommended")
    func cause() {
        var relationship = Sample.relationship(.protected)
        relationship.note(
            JobFailure(kind: "vm-gone", message: "it is elsewhere", hint: "move it back"),
            at: Timestamp(milliseconds: 0))
        #expect(relationship.state == .error)
        let next = Guards.next(for: relationship, item: nil, facts: SiteFacts())
        #expect(next.summary.contains("it is elsewhere") && next.summary.contains("move it back"))
    }

    @Test("A running job is named; one without an engine with what takes it up, one that is held with its plan")
    func job() {
        var facts = SiteFacts()
        facts.activeOperation = .sync
        let next = Guards.next(for: Sample.relationship(.protected), item: nil, facts: facts)
        #expect(next.summary.contains("sync") && next.summary.contains("wait for its end"))
        facts.activeJobIsOrphaned = true
        let dead = Guards.next(for: Sample.relationship(.protected), item: nil, facts: facts)
        #expect(dead.summary.contains("its engine is dead") && dead.summary.contains("perilune replicate"))
        facts.activeJobIsOrphaned = false
        facts.activeOperation = .plannedFailover
        facts.activeJobIsHeld = true
        let held = Guards.next(for: Sample.relationship(.failingOverPlanned), item: nil, facts: facts)
        #expect(held.summary.contains("run the plan again") && !held.summary.contains("perilune replicate"))
    }
}

@Suite("Which failures stop replication")
struct FailureJudgementTests {
    @Test(
        "At once, by kind",
        arguments: [
            ("diverged", Finding.diverged), ("unsupported", .replicationStopped),
            ("notAuthorized", .replicationStopped),
            ("disks-changed", .replicationStopped), ("vm-gone", .replicationStopped),
            ("vault-behind", .replicationStopped), ("staleEpoch", .replicationStopped),
        ])
    func atOnce(kind: String, finding: Finding) {
        #expect(FailureJudgement.finding(kind, inARow: 1) == finding)
    }

    @Test("What passes by itself is never counted", arguments: ["unreachable", "disconnected", "timedOut", "busy"])
    func passing(kind: String) {
        #expect(!FailureJudgement.counts(kind))
        #expect(FailureJudgement.finding(kind, inARow: 1000) == nil)
    }

    @Test("Anything else stops it when it has failed so often in a row, and a success begins the count anew")
    func repeated() {
        var relationship = Sample.relationship(.protected)
        let failure = JobFailure(kind: "io", message: "a disk is ill", hint: "look at it")
        for count in 1..<FailureJudgement.most {
            #expect(
                relationship.note(failure, at: Timestamp(milliseconds: 0)) == nil && relationship.state == .protected)
            #expect(relationship.failuresInARow == count)
        }
        relationship.settleTrouble()
        #expect(relationship.failuresInARow == nil)
        for _ in 1..<FailureJudgement.most { relationship.note(failure, at: Timestamp(milliseconds: 0)) }
        #expect(relationship.note(failure, at: Timestamp(milliseconds: 7)) == .replicationStopped)
        #expect(relationship.state == .error && relationship.trouble?.failure == failure)
        #expect(relationship.trouble?.since == Timestamp(milliseconds: 7))
    }

    @Test("A paused VM is not put into error, but into resync-required when it diverged")
    func paused() {
        var relationship = Sample.relationship(.paused)
        #expect(
            relationship.note(JobFailure(kind: "vm-gone", message: "m", hint: nil), at: .init(milliseconds: 0)) == nil)
        #expect(relationship.state == .paused)
        relationship.note(JobFailure(kind: "diverged", message: "m", hint: nil), at: .init(milliseconds: 0))
        #expect(relationship.state == .resyncRequired)
    }

    @Test(
        "Minutes in UTC",
        arguments: [
            (Int64(0), "1970-01-01 00:00 UTC"), (951_782_400_000, "2000-02-29 00:00 UTC"),
            (1_795_420_739_999, "2026-11-23 07:58 UTC"), (-1, "1969-12-31 23:59 UTC"),
            (4_102_444_799_000, "2099-12-31 23:59 UTC"),
        ])
    func utc(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).utcText == text)
    }
}
