/// What the state machine answers for one state and one operation.
package enum Transition: Hashable, Sendable {
    /// The operation may begin: the state while it works, and the state when it has succeeded.
    case allowed(during: ReplicationState, after: ReplicationState)
    /// The rule that forbids it.
    case refused(Rule)
}

/// What replication may find out by itself, outside every operation (reference 2.1, 7.5).
package enum Finding: String, Codable, Hashable, Sendable, CaseIterable {
    /// Cycles fail for a cause that will not pass by itself; a person must look.
    case replicationStopped = "replication-stopped"
    /// The two sides are no longer known to differ only by what is tracked.
    case diverged
}

/// The state machine of a relationship, and so of a protected item: state x operation (reference 2.3).
///
/// The compiler sees to it that every pair has an answer. Facts besides the state are `Guards`' business; nothing else
/// decides whether an operation is allowed. An operation that was interrupted in its `during` state is driven on
/// by its own job and does not ask this table again.
///
/// Where the reference disagrees with itself (2.5), this table says: commit closes every failover, planned or not, and
/// only then may it be reversed; a row about one state outweighs the row "any state: disable protection", so a test is
/// cleaned up and a failover committed or undone before protection is taken away; cycles go on during a test (5.1).
package enum TransitionTable {
    /// The answer for one pair.
    ///
    /// `firstCopy` is the policy's choice and matters to `protect` alone: a scheduled or offline first copy is left
    /// outstanding.
    package static func transition(
        from state: ReplicationState, _ operation: Operation, firstCopy: Policy.FirstCopy = .now
    ) -> Transition {
        switch state {
        case .unprotected: unprotected(operation, firstCopy)
        case .firstCopyPending: firstCopyPending(operation)
        case .firstCopy: firstCopyRunning(operation)
        case .protected: protected(operation)
        case .paused: paused(operation)
        case .error: error(operation)
        case .resyncRequired: resyncRequired(operation)
        case .resynchronizing: resynchronizing(operation)
        case .resyncPaused: resyncPaused(operation)
        case .testing: testing(operation)
        case .failingOverPlanned, .failingOver: failingOver(operation)
        case .failedOver: failedOver(operation)
        case .committed: committed(operation)
        case .reversing: reversing(operation)
        }
    }

    /// The state that a failed operation leaves behind.
    ///
    /// As a rule the one it began in, because every operation writes beside what is there. An operation that first
    /// ended a copy cannot give that copy back: it leaves the copy outstanding. A failover that fails before ownership
    /// is claimed leaves its origin; after that it does not fail, it is driven on.
    ///
    /// A first copy of which the target keeps a part is outstanding, whatever began it: it can be gone on with.
    package static func afterFailure(
        of operation: Operation, from origin: ReplicationState, keepingFirstCopy: Bool = false
    ) -> ReplicationState {
        switch origin {
        case .firstCopy: .firstCopyPending
        case .unprotected where keepingFirstCopy: .firstCopyPending
        case .resynchronizing: .resyncRequired
        // A failover may end a reversal only when a point of the new direction is whole.
        case .reversing: .protected
        default: origin
        }
    }

    /// The state after a finding; findings matter only where replication goes on or waits to go on.
    ///
    /// During a test and during a failover nothing is changed by them: the state that stands says more about what may
    /// follow.
    package static func afterFinding(_ finding: Finding, in state: ReplicationState) -> ReplicationState {
        switch (finding, state) {
        case (.replicationStopped, .protected): .error
        case (.diverged, .protected), (.diverged, .paused), (.diverged, .error): .resyncRequired
        case (.diverged, .resyncPaused): .resyncRequired
        default: state
        }
    }

    /// Whether `operation` may begin while a job of `running` is open, by ending that job first.
    ///
    /// Copies can be ended so: the site may be lost in the middle of a cycle, and the failover must not wait for it. So can
    /// a reversal, and an undo that waits for a source that is lost. A failover is ended by an undo alone, and only where
    /// its target is lost (`Guards`): it could not be driven to its end.
    package static func ends(_ operation: Operation, running: Operation) -> Bool {
        switch (operation, running) {
        case (.unplannedFailover, .sync), (.unplannedFailover, .resync), (.unplannedFailover, .resume): true
        case (.pauseResync, .resync), (.pauseResync, .resume), (.cancelResync, .resync), (.cancelResync, .resume): true
        case (.cancelFirstCopy, .protect), (.cancelFirstCopy, .startFirstCopy), (.cancelFirstCopy, .importFirstCopy):
            true
        case (.unprotect, .protect), (.unprotect, .startFirstCopy), (.unprotect, .importFirstCopy): true
        case (.unprotect, .sync), (.unprotect, .resync), (.unprotect, .resume): true
        // What reads only to look is ended for whatever changes something, and by a word.
        case (.cancelVerify, .verify), (.cancelVerify, .verifyPoint), (.pause, .verify), (.pause, .verifyPoint): true
        case (.unplannedFailover, .verify), (.unplannedFailover, .verifyPoint): true
        case (.plannedFailover, .verifyPoint), (.changePoint, .verifyPoint), (.undo, .verifyPoint): true
        case (.commit, .verifyPoint), (.unprotect, .verify), (.unprotect, .verifyPoint): true
        // A cycle is long where much has changed; whoever holds replication back does not want to wait for it.
        case (.pause, .sync): true
        case (.unplannedFailover, .reverse), (.unplannedFailover, .undo), (.unprotect, .reverse): true
        case (.undo, .unplannedFailover), (.undo, .plannedFailover), (.undo, .changePoint): true
        default: false
        }
    }

    /// The operations that the table allows in a state, facts aside, in the order of `Operation`.
    package static func allowed(in state: ReplicationState) -> [Operation] {
        Operation.allCases.filter {
            if case .allowed = transition(from: state, $0) { true } else { false }
        }
    }
}
