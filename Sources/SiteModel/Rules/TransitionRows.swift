// The rows of the state machine, one function a state, in the order of `ReplicationState`.

extension TransitionTable {
    static func unprotected(_ operation: Operation, _ firstCopy: Policy.FirstCopy) -> Transition {
        switch operation {
        case .protect:
            switch firstCopy {
            case .now: .allowed(during: .firstCopy, after: .protected)
            case .scheduled, .offline: .allowed(during: .firstCopyPending, after: .firstCopyPending)
            }
        default: .refused(RuleBook.notProtected)
        }
    }

    static func firstCopyPending(_ operation: Operation) -> Transition {
        switch operation {
        case .startFirstCopy, .importFirstCopy: .allowed(during: .firstCopy, after: .protected)
        case .cancelFirstCopy: .allowed(during: .firstCopyPending, after: .firstCopyPending)
        case .unprotect: .allowed(during: .firstCopyPending, after: .unprotected)
        default: otherwise(operation, RuleBook.firstCopyIncomplete)
        }
    }

    static func firstCopyRunning(_ operation: Operation) -> Transition {
        switch operation {
        case .cancelFirstCopy: .allowed(during: .firstCopy, after: .firstCopyPending)
        case .unprotect: .allowed(during: .firstCopy, after: .unprotected)
        case .startFirstCopy, .importFirstCopy: .refused(RuleBook.operationInProgress)
        default: otherwise(operation, RuleBook.firstCopyIncomplete)
        }
    }

    static func protected(_ operation: Operation) -> Transition {
        switch operation {
        case .sync, .verify, .verifyPoint, .cancelVerify: .allowed(during: .protected, after: .protected)
        case .pause: .allowed(during: .protected, after: .paused)
        case .testFailover: .allowed(during: .testing, after: .testing)
        case .plannedFailover: .allowed(during: .failingOverPlanned, after: .failedOver)
        case .unplannedFailover: .allowed(during: .failingOver, after: .failedOver)
        case .unprotect: .allowed(during: .protected, after: .unprotected)
        case .resume: .refused(RuleBook.notPaused)
        default: otherwise(operation, RuleBook.pauseBeforeResync)
        }
    }

    static func paused(_ operation: Operation) -> Transition {
        switch operation {
        case .verifyPoint, .cancelVerify: .allowed(during: .paused, after: .paused)
        case .resume: .allowed(during: .paused, after: .protected)
        case .resync: .allowed(during: .resynchronizing, after: .protected)
        case .unplannedFailover: .allowed(during: .failingOver, after: .failedOver)
        case .unprotect: .allowed(during: .paused, after: .unprotected)
        default: otherwise(operation, RuleBook.paused)
        }
    }

    static func error(_ operation: Operation) -> Transition {
        switch operation {
        case .verifyPoint, .cancelVerify: .allowed(during: .error, after: .error)
        case .resume: .allowed(during: .error, after: .protected)
        case .resync: .allowed(during: .resynchronizing, after: .protected)
        case .unplannedFailover: .allowed(during: .failingOver, after: .failedOver)
        case .unprotect: .allowed(during: .error, after: .unprotected)
        default: otherwise(operation, RuleBook.replicationInError)
        }
    }

    static func resyncRequired(_ operation: Operation) -> Transition {
        switch operation {
        case .verifyPoint, .cancelVerify: .allowed(during: .resyncRequired, after: .resyncRequired)
        case .resync: .allowed(during: .resynchronizing, after: .protected)
        case .unplannedFailover: .allowed(during: .failingOver, after: .failedOver)
        case .unprotect: .allowed(during: .resyncRequired, after: .unprotected)
        default: otherwise(operation, RuleBook.resyncFirst)
        }
    }

    static func resynchronizing(_ operation: Operation) -> Transition {
        switch operation {
        case .pauseResync: .allowed(during: .resynchronizing, after: .resyncPaused)
        case .cancelResync: .allowed(during: .resynchronizing, after: .resyncRequired)
        case .unplannedFailover: .allowed(during: .failingOver, after: .failedOver)
        case .unprotect: .allowed(during: .resynchronizing, after: .unprotected)
        case .pause, .resume, .resync: .refused(RuleBook.operationInProgress)
        default: otherwise(operation, RuleBook.resyncFirst)
        }
    }

    static func resyncPaused(_ operation: Operation) -> Transition {
        switch operation {
        case .resume, .resync: .allowed(during: .resynchronizing, after: .protected)
        case .cancelResync: .allowed(during: .resyncPaused, after: .resyncRequired)
        case .unplannedFailover: .allowed(during: .failingOver, after: .failedOver)
        case .unprotect: .allowed(during: .resyncPaused, after: .unprotected)
        default: otherwise(operation, RuleBook.resyncFirst)
        }
    }

    static func testing(_ operation: Operation) -> Transition {
        switch operation {
        case .sync, .verify, .verifyPoint, .cancelVerify: .allowed(during: .testing, after: .testing)
        case .cleanUpTest: .allowed(during: .testing, after: .protected)
        default: otherwise(operation, RuleBook.testInProgress)
        }
    }

    /// A failover whose target is lost can go no further; where the source is whole it can go back.
    static func failingOver(_ operation: Operation) -> Transition {
        switch operation {
        case .undo: .allowed(during: .failingOver, after: .protected)
        case .plannedFailover, .unplannedFailover, .changePoint, .unprotect:
            .refused(RuleBook.neverCancelAFailover)
        default: .refused(RuleBook.operationInProgress)
        }
    }

    static func failedOver(_ operation: Operation) -> Transition {
        switch operation {
        case .verifyPoint, .cancelVerify: .allowed(during: .failedOver, after: .failedOver)
        case .changePoint: .allowed(during: .failingOver, after: .failedOver)
        case .undo: .allowed(during: .failingOver, after: .protected)
        case .commit: .allowed(during: .failedOver, after: .committed)
        case .reverse: .refused(RuleBook.commitBeforeReverse)
        default: otherwise(operation, RuleBook.failoverNeedsCommit)
        }
    }

    static func committed(_ operation: Operation) -> Transition {
        switch operation {
        case .reverse: .allowed(during: .reversing, after: .protected)
        case .unprotect: .allowed(during: .committed, after: .unprotected)
        default: otherwise(operation, RuleBook.reverseFirst)
        }
    }

    /// A reversal whose sites are lost must not be the end: what it has already brought over can be failed over to, and
    /// what it will never bring can be given up.
    static func reversing(_ operation: Operation) -> Transition {
        switch operation {
        case .unplannedFailover: .allowed(during: .failingOver, after: .failedOver)
        case .unprotect: .allowed(during: .reversing, after: .unprotected)
        default: .refused(RuleBook.operationInProgress)
        }
    }

    /// Refuses what a row does not allow: an operation whose object is not there by the rule that says so, one that
    /// would work on the replication itself by the rule of the state.
    private static func otherwise(_ operation: Operation, _ rule: Rule) -> Transition {
        switch operation {
        case .protect: .refused(RuleBook.alreadyProtected)
        case .startFirstCopy, .importFirstCopy, .cancelFirstCopy: .refused(RuleBook.noFirstCopyOutstanding)
        case .pauseResync, .cancelResync: .refused(RuleBook.noResyncRunning)
        case .cancelVerify: .refused(RuleBook.noVerificationRunning)
        case .cleanUpTest: .refused(RuleBook.noTestToCleanUp)
        case .changePoint: .refused(RuleBook.changePointAfterFailover)
        case .undo: .refused(RuleBook.nothingToUndo)
        case .commit: .refused(RuleBook.nothingToCommit)
        case .reverse: .refused(RuleBook.nothingToReverse)
        case .sync, .verify, .verifyPoint, .pause, .resume, .resync, .testFailover, .plannedFailover,
            .unplannedFailover,
            .unprotect:
            .refused(rule)
        }
    }
}
