import SiteModel
import Testing

/// The state machine, written out a second time as a person would draw it: a matrix of marks and a list of ways.
@Suite("State machine")
struct TransitionTableTests {
    /// Marks of the matrix and the rules that they stand for; "+" is allowed.
    static let marks: [String: String] = [
        "np": "not-protected", "ap": "already-protected", "fc": "first-copy-incomplete",
        "nf": "no-first-copy-outstanding",
        "op": "operation-in-progress", "nc": "never-cancel-a-failover", "pa": "paused", "nP": "not-paused",
        "er": "replication-in-error", "pr": "pause-before-resync", "rf": "resync-first", "nr": "no-resync-running",
        "nv": "no-verification-running",
        "te": "test-in-progress", "nt": "no-test-to-clean-up", "cp": "change-point-after-failover",
        "co": "failover-needs-commit", "cr": "commit-before-reverse", "re": "reverse-first", "nu": "nothing-to-undo",
        "nC": "nothing-to-commit", "nR": "nothing-to-reverse",
    ]

    /// Columns: protect, start, import and cancel the first copy | sync | verify, verify a point, cancel that | pause, resume |
    /// resync, pause it, cancel it |
    /// test, clean up | planned, unplanned, change point, undo, commit, reverse | unprotect.
    static let matrix = """
        unprotected          +  np np np | np | np np np | np np | np np np | np np | np np np np np np | np
        first-copy-pending   ap +  +  +  | fc | fc fc nv | fc fc | fc nr nr | fc nt | fc fc cp nu nC nR | +
        first-copy           ap op op +  | fc | fc fc nv | fc fc | fc nr nr | fc nt | fc fc cp nu nC nR | +
        protected            ap nf nf nf | +  | +  +  +  | +  nP | pr nr nr | +  nt | +  +  cp nu nC nR | +
        paused               ap nf nf nf | pa | pa +  +  | pa +  | +  nr nr | pa nt | pa +  cp nu nC nR | +
        error                ap nf nf nf | er | er +  +  | er +  | +  nr nr | er nt | er +  cp nu nC nR | +
        resync-required      ap nf nf nf | rf | rf +  +  | rf rf | +  nr nr | rf nt | rf +  cp nu nC nR | +
        resynchronizing      ap nf nf nf | rf | rf rf nv | op op | op +  +  | rf nt | rf +  cp nu nC nR | +
        resync-paused        ap nf nf nf | rf | rf rf nv | rf +  | +  nr +  | rf nt | rf +  cp nu nC nR | +
        testing              ap nf nf nf | +  | +  +  +  | te te | te nr nr | te +  | te te cp nu nC nR | te
        failing-over-planned op op op op | op | op op op | op op | op op op | op op | nc nc nc +  op op | nc
        failing-over         op op op op | op | op op op | op op | op op op | op op | nc nc nc +  op op | nc
        failed-over          ap nf nf nf | co | co +  +  | co co | co nr nr | co nt | co co +  +  +  cr | co
        committed            ap nf nf nf | re | re re nv | re re | re nr nr | re nt | re re cp nu nC +  | +
        reversing            op op op op | op | op op op | op op | op op op | op op | op +  op op op op | +
        """

    /// Where each allowed operation leads: state, operation, state while it works, state afterwards.
    static let ways = """
        unprotected         protect            first-copy            protected
        first-copy-pending  start-first-copy   first-copy            protected
        first-copy-pending  import-first-copy  first-copy            protected
        first-copy-pending  cancel-first-copy  first-copy-pending    first-copy-pending
        first-copy-pending  unprotect          first-copy-pending    unprotected
        first-copy          cancel-first-copy  first-copy            first-copy-pending
        first-copy          unprotect          first-copy            unprotected
        protected           sync               protected             protected
        protected           verify             protected             protected
        protected           verify-point       protected             protected
        protected           cancel-verify      protected             protected
        paused              verify-point       paused                paused
        paused              cancel-verify      paused                paused
        error               verify-point       error                 error
        error               cancel-verify      error                 error
        resync-required     verify-point       resync-required       resync-required
        resync-required     cancel-verify      resync-required       resync-required
        testing             verify             testing               testing
        testing             verify-point       testing               testing
        testing             cancel-verify      testing               testing
        failed-over         verify-point       failed-over           failed-over
        failed-over         cancel-verify      failed-over           failed-over
        protected           pause              protected             paused
        protected           test-failover      testing               testing
        protected           planned-failover   failing-over-planned  failed-over
        protected           unplanned-failover failing-over          failed-over
        protected           unprotect          protected             unprotected
        paused              resume             paused                protected
        paused              resync             resynchronizing       protected
        paused              unplanned-failover failing-over          failed-over
        paused              unprotect          paused                unprotected
        error               resume             error                 protected
        error               resync             resynchronizing       protected
        error               unplanned-failover failing-over          failed-over
        error               unprotect          error                 unprotected
        resync-required     resync             resynchronizing       protected
        resync-required     unplanned-failover failing-over          failed-over
        resync-required     unprotect          resync-required       unprotected
        resynchronizing     pause-resync       resynchronizing       resync-paused
        resynchronizing     cancel-resync      resynchronizing       resync-required
        resynchronizing     unplanned-failover failing-over          failed-over
        resynchronizing     unprotect          resynchronizing       unprotected
        resync-paused       resume             resynchronizing       protected
        resync-paused       resync             resynchronizing       protected
        resync-paused       cancel-resync      resync-paused         resync-required
        resync-paused       unplanned-failover failing-over          failed-over
        resync-paused       unprotect          resync-paused         unprotected
        testing             sync               testing               testing
        testing             clean-up-test      testing               protected
        failing-over-planned undo              failing-over          protected
        failing-over        undo               failing-over          protected
        failed-over         change-point       failing-over          failed-over
        failed-over         undo               failing-over          protected
        failed-over         commit             failed-over           committed
        committed           reverse            reversing             protected
        committed           unprotect          committed             unprotected
        reversing           unplanned-failover failing-over          failed-over
        reversing           unprotect          reversing             unprotected
        """

    static func words(_ text: Substring) -> [String] { text.split(separator: " ").map(String.init) }

    /// Every pair with what is expected of it: a rule's id, or the two states of an allowed operation.
    static let expected: [ReplicationState: [Operation: [String]]] = {
        var result: [ReplicationState: [Operation: [String]]] = [:]
        for line in matrix.split(separator: "\n") {
            let fields = words(line).filter { $0 != "|" }
            guard let state = ReplicationState(rawValue: fields[0]), fields.count == 23 else { continue }
            for (operation, mark) in zip(Operation.allCases, fields.dropFirst()) {
                result[state, default: [:]][operation] = mark == "+" ? [] : [marks[mark] ?? "unknown mark \(mark)"]
            }
        }
        for line in ways.split(separator: "\n") {
            let fields = words(line)
            guard let state = ReplicationState(rawValue: fields[0]), let operation = Operation(rawValue: fields[1]),
                result[state]?[operation] == []
            else { continue }
            result[state]?[operation] = Array(fields[2...])
        }
        return result
    }()

    @Test(
        "Every pair of state and operation has the answer that the matrix gives", arguments: ReplicationState.allCases)
    func everyPair(state: ReplicationState) throws {
        let row = try #require(Self.expected[state])
        #expect(row.count == Operation.allCases.count)
        for operation in Operation.allCases {
            let actual: [String] =
                switch TransitionTable.transition(from: state, operation) {
                case .allowed(let during, let after): [during.rawValue, after.rawValue]
                case .refused(let rule): [rule.id]
                }
            #expect(actual == row[operation], "\(state.rawValue) x \(operation.rawValue)")
        }
    }

    @Test("The expected table covers 15 states x 22 operations, 58 of the pairs allowed")
    func size() {
        #expect(Self.expected.count == 15)
        #expect(Self.expected.values.map(\.count).reduce(0, +) == 330)
        #expect(Self.ways.split(separator: "\n").count == 58)
        let allowed = ReplicationState.allCases.flatMap { TransitionTable.allowed(in: $0) }
        #expect(allowed.count == 58)
    }

    @Test("A scheduled or offline first copy is left outstanding", arguments: [Policy.FirstCopy.scheduled, .offline])
    func outstandingFirstCopy(firstCopy: Policy.FirstCopy) {
        let answer = TransitionTable.transition(from: .unprotected, .protect, firstCopy: firstCopy)
        #expect(answer == .allowed(during: .firstCopyPending, after: .firstCopyPending))
    }

    @Test(
        "A failed operation leaves the state it began in, or the copy that it ended outstanding",
        arguments: [
            (Operation.sync, ReplicationState.protected, ReplicationState.protected),
            (.sync, .testing, .testing),
            (.protect, .unprotected, .unprotected),
            (.startFirstCopy, .firstCopyPending, .firstCopyPending),
            (.unplannedFailover, .paused, .paused),
            (.plannedFailover, .protected, .protected),
            (.unplannedFailover, .resynchronizing, .resyncRequired),
            (.unprotect, .firstCopy, .firstCopyPending),
            (.changePoint, .failedOver, .failedOver),
            (.reverse, .committed, .committed),
            (.cleanUpTest, .testing, .testing),
        ])
    func failure(operation: Operation, origin: ReplicationState, left: ReplicationState) {
        #expect(TransitionTable.afterFailure(of: operation, from: origin) == left)
    }

    @Test func aFirstCopyOfWhichAPartIsThereIsOutstandingWhenItFails() {
        for (operation, origin) in [
            (Operation.protect, ReplicationState.unprotected), (.startFirstCopy, .firstCopyPending),
        ] {
            let left = TransitionTable.afterFailure(of: operation, from: origin, keepingFirstCopy: true)
            #expect(left == .firstCopyPending)
        }
    }

    @Test("No state is a dead end: success or failure of what runs, or an allowed operation, leads on from each")
    func noDeadEnd() {
        var reached: Set<ReplicationState> = [.unprotected]
        var grown = true
        while grown {
            let before = reached
            for state in before {
                reached.formUnion(Finding.allCases.map { TransitionTable.afterFinding($0, in: state) })
                for operation in Operation.allCases {
                    for firstCopy in Policy.FirstCopy.allCases {
                        guard
                            case .allowed(let during, let after) = TransitionTable.transition(
                                from: state, operation, firstCopy: firstCopy)
                        else { continue }
                        reached.formUnion([during, after, TransitionTable.afterFailure(of: operation, from: state)])
                    }
                }
            }
            grown = reached != before
        }
        #expect(reached == Set(ReplicationState.allCases))
        for state in ReplicationState.allCases {
            #expect(!TransitionTable.allowed(in: state).isEmpty, "\(state.rawValue) has no way on")
        }
    }

    @Test("A finding changes the state only where replication goes on or waits", arguments: ReplicationState.allCases)
    func findings(state: ReplicationState) {
        let stopped = TransitionTable.afterFinding(.replicationStopped, in: state)
        #expect(stopped == (state == .protected ? .error : state))
        let diverged = TransitionTable.afterFinding(.diverged, in: state)
        let waits: Set<ReplicationState> = [.protected, .paused, .error, .resyncPaused]
        #expect(diverged == (waits.contains(state) ? .resyncRequired : state))
    }

    @Test(
        "Only what can be given up is ended for another operation",
        arguments: [
            (Operation.unplannedFailover, Operation.sync, true), (.unplannedFailover, .resync, true),
            (.cancelResync, .resync, true), (.cancelFirstCopy, .protect, true), (.unprotect, .sync, true),
            (.unplannedFailover, .reverse, true), (.unplannedFailover, .undo, true), (.unprotect, .reverse, true),
            (.plannedFailover, .sync, false), (.sync, .sync, false), (.unprotect, .unplannedFailover, false),
            (.unplannedFailover, .plannedFailover, false), (.commit, .changePoint, false), (.undo, .reverse, false),
            // Where the target is lost, which is for the guards to see.
            (.undo, .unplannedFailover, true), (.undo, .plannedFailover, true), (.undo, .changePoint, true),
            (.undo, .undo, false),
        ])
    func endings(operation: Operation, running: Operation, ends: Bool) {
        #expect(TransitionTable.ends(operation, running: running) == ends)
    }
}
