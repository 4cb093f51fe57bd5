/// Whether an operation may begin: the state machine and the facts together, in one place.
package enum Guards {
    /// The refusal of an operation, or nil when it may begin.
    ///
    /// Nothing is changed by asking.  `item` is nil for a VM that the hosts replicate directly (the management server's
    /// own); the vault's rules do not bind such a VM, so that it can be brought up first.
    package static func check(
        _ operation: Operation, on relationship: Relationship, item: ProtectedItem?, facts: SiteFacts
    ) -> Refusal? {
        rule(against: operation, on: relationship, item: item, facts: facts).map {
            Refusal(rule: $0, operation: operation, object: relationship.name, state: relationship.state)
        }
    }

    /// The refusal of a failover to make the target the owner, or nil when it may: asked by the stage that claims
    /// ownership.
    ///
    /// Here nothing may be left open: an unplanned failover must know that the source is down, and a planned one that
    /// the VM there has been shut down.
    package static func checkClaim(
        _ operation: Operation, on relationship: Relationship, facts: SiteFacts
    ) -> Refusal? {
        let rule: Rule?
        switch operation {
        case .unplannedFailover:
            let known = facts.sourceVerdict == .proven || facts.sourceVerdict == .declared
            rule = known ? nil : RuleBook.sourceMustBeDown
        case .plannedFailover:
            let stopped = facts.runningAt.map { !$0.contains(relationship.source) } ?? false
            rule = stopped && !facts.shutdownTimedOut ? nil : RuleBook.shutdownNeeded
        default:
            rule = nil
        }
        return rule.map {
            Refusal(rule: $0, operation: operation, object: relationship.name, state: relationship.state)
        }
    }

    /// One operation and why it may not begin now; nil when it may.
    package typealias Verdict = (operation: Operation, refusal: Refusal?)

    /// The answer for every operation, in the order of `Operation`: which come next, and why the others do not.
    package static func verdicts(
        for relationship: Relationship, item: ProtectedItem?, facts: SiteFacts
    ) -> [Verdict] {
        Operation.allCases.map { ($0, check($0, on: relationship, item: item, facts: facts)) }
    }

    private static func rule(
        against operation: Operation, on relationship: Relationship, item: ProtectedItem?, facts: SiteFacts
    ) -> Rule? {
        if case .refused(let rule) = TransitionTable.transition(from: relationship.state, operation) { return rule }
        return exclusion(operation, relationship, facts)
            ?? setup(operation, item, facts)
            ?? managementServer(operation, relationship, item, facts)
            ?? reachability(operation, facts)
            ?? points(operation, relationship, facts)
            ?? copies(operation, relationship, facts)
    }

    /// Rule 30: operations on one VM exclude each other, but a copy may be ended for one that needs it to end.
    private static func exclusion(_ operation: Operation, _ relationship: Relationship, _ facts: SiteFacts) -> Rule? {
        let isFailingOver = relationship.state == .failingOver || relationship.state == .failingOverPlanned
        if operation == .undo, isFailingOver, facts.activeOperation != .undo {
            return failoverIsLost(relationship, facts) ? nil : RuleBook.neverCancelAFailover
        }
        if operation == .cancelVerify, facts.activeOperation != .verify, facts.activeOperation != .verifyPoint {
            return RuleBook.noVerificationRunning
        }
        guard relationship.activeJob != nil || facts.activeOperation != nil else { return nil }
        if let running = facts.activeOperation, TransitionTable.ends(operation, running: running) { return nil }
        return RuleBook.operationInProgress
    }

    /// Whether a failover under way can get no further: the VM is its target's by now, and the target is gone.
    private static func failoverIsLost(_ relationship: Relationship, _ facts: SiteFacts) -> Bool {
        relationship.owner == relationship.target && facts.targetReachable == false
    }

    private static func setup(_ operation: Operation, _ item: ProtectedItem?, _ facts: SiteFacts) -> Rule? {
        switch operation {
        case .protect:
            if item != nil, facts.isManagementVM { return RuleBook.managementVMOutsideClouds }
            if item != nil, !facts.cloudIsPaired { return RuleBook.pairRequired }
            return facts.policyExists ? nil : RuleBook.policyRequired
        case .cancelFirstCopy:
            return facts.firstCopyExported ? RuleBook.firstCopyExported : nil
        default:
            return nil
        }
    }

    /// Rules 31 and 32.
    ///
    /// Cycles are the hosts' own work and go on without the management server; so does what ends a test or a copy.
    private static func managementServer(
        _ operation: Operation, _ relationship: Relationship, _ item: ProtectedItem?, _ facts: SiteFacts
    ) -> Rule? {
        guard item != nil, let management = facts.management, !goesOnAlone(operation, relationship, facts) else {
            return nil
        }
        if management.running != true { return RuleBook.managementServerFirst }
        guard operation == .reverse, let own = management.relationship else { return nil }
        let returnsHome = facts.site(of: relationship.standby) == facts.site(of: own.home)
        return returnsHome && !own.isSettledAtHome ? RuleBook.managementServerHomeFirst : nil
    }

    /// Whether an operation asks nothing of the management server: it starts no VM, and no order of recovery is at stake.
    private static func goesOnAlone(_ operation: Operation, _ relationship: Relationship, _ facts: SiteFacts) -> Bool {
        switch operation {
        case .sync, .verify, .verifyPoint, .cancelVerify, .cleanUpTest, .pause, .pauseResync, .cancelResync,
            .cancelFirstCopy:
            true
        // It removes the points: only while the VM's own disks are there, for the points may be its last copy.
        case .unprotect:
            (relationship.owner == relationship.source ? facts.sourceReachable : facts.targetReachable) == true
        default: false
        }
    }

    private static func reachability(_ operation: Operation, _ facts: SiteFacts) -> Rule? {
        switch operation {
        case .protect, .startFirstCopy, .importFirstCopy, .sync, .verify, .resume, .resync, .plannedFailover, .reverse:
            facts.sourceReachable == false || facts.targetReachable == false ? RuleBook.bothSitesNeeded : nil
        case .undo where facts.sourceReachable == false:
            RuleBook.bothSitesNeeded
        case .undo:
            facts.targetReachable == false && !facts.targetIsGivenUp ? RuleBook.targetMustBeDown : nil
        case .verifyPoint, .testFailover, .cleanUpTest, .unplannedFailover, .changePoint, .commit:
            facts.targetReachable == false ? RuleBook.targetNeeded : nil
        case .cancelVerify, .cancelFirstCopy, .pause, .pauseResync, .cancelResync, .unprotect:
            nil
        }
    }

    private static func points(_ operation: Operation, _ relationship: Relationship, _ facts: SiteFacts) -> Rule? {
        switch operation {
        case .testFailover, .unplannedFailover, .changePoint:
            if relationship.newestGeneration == nil { return RuleBook.firstCopyIncomplete }
            // Only towards the other side: in a reversal that has not turned round yet, the target is the owner itself.
            if operation == .unplannedFailover, relationship.owner == relationship.target {
                return RuleBook.reverseFirst
            }
            if facts.chosenPointExists == false { return RuleBook.recoveryPointUnknown }
            return facts.damage?.rule(against: operation)
        case .plannedFailover:
            // Its last point stands on the newest one, and would be no better.
            return facts.damage?.rule(against: operation)
        case .verifyPoint:
            if relationship.newestGeneration == nil { return RuleBook.firstCopyIncomplete }
            return facts.chosenPointExists == false ? RuleBook.recoveryPointUnknown : nil
        default:
            return nil
        }
    }

    /// Never two writable copies, and no way back onto a copy that is not known to be whole.
    private static func copies(_ operation: Operation, _ relationship: Relationship, _ facts: SiteFacts) -> Rule? {
        switch operation {
        case .unplannedFailover:
            return facts.sourceVerdict == .unknown ? RuleBook.sourceMustBeDown : nil
        case .plannedFailover where facts.sourceCanReceive == false:
            return RuleBook.sourceMustReceive
        case .plannedFailover where facts.shutdownTimedOut:
            return RuleBook.shutdownNeeded
        case .undo where facts.sourceIntact != true:
            return RuleBook.sourceNotIntact
        case .protect, .sync, .verify, .resume, .resync, .startFirstCopy, .importFirstCopy, .plannedFailover, .undo,
            .reverse:
            return facts.runningAt?.contains(relationship.standby) == true ? RuleBook.oneWritableCopy : nil
        case .unprotect where relationship.leftCopy != nil:
            // It would be thrown away with what it wrote, which somebody may still want to save.
            return facts.runningAt?.contains(relationship.standby) == true ? RuleBook.oneWritableCopy : nil
        case .testFailover:
            guard let network = facts.testNetwork, network.isProduction else { return nil }
            if !network.isForced { return RuleBook.testOutsideProduction }
            // Two machines of one name and address must never meet: a source that does not answer may well run.
            let isOff = facts.sourceReachable == true && facts.runningAt?.contains(relationship.source) == false
            return isOff ? nil : RuleBook.productionNetworkNeedsPrimaryOff
        default:
            return nil
        }
    }
}

extension Relationship {
    /// The host whose copy must be off: the one of the two that is not the owner.
    package var standby: String { owner == source ? target : source }

    /// The VM is at the host where it was first protected, and protected there.
    ///
    /// A VM that was never failed over counts, whatever the state of its replication.
    package var isSettledAtHome: Bool {
        owner == home && (epoch == 1 || state == .protected || state == .testing)
    }
}
