/// Which operations come next, which of them first, and why not the others: the answer to "which button now?".
package struct NextSteps: Hashable, Sendable {
    /// An operation that may begin now, and what it is good for in this state.
    package struct Step: Hashable, Sendable {
        package let operation: Operation
        package let why: String
        /// Options that it must be given: without them it is refused.
        package let needs: [String]

        package init(_ operation: Operation, _ why: String, needs: [String] = []) {
            self.operation = operation
            self.why = why
            self.needs = needs
        }
    }

    /// Where the VM stands and how it goes on, in one or two sentences.
    package let summary: String
    /// What may begin now, the recommended first.
    package let steps: [Step]
    package let refused: [Refusal]

    package init(summary: String, steps: [Step], refused: [Refusal]) {
        self.summary = summary
        self.steps = steps
        self.refused = refused
    }
}

extension Guards {
    /// What comes next for a VM, from the table, the facts and the relationship's own record.
    package static func next(
        for relationship: Relationship, item: ProtectedItem?, facts: SiteFacts
    ) -> NextSteps {
        var verdicts = verdicts(for: relationship, item: item, facts: facts)
        let undo = verdicts.firstIndex { $0.operation == .undo && $0.refusal?.rule == RuleBook.targetMustBeDown }
        var given = facts
        given.targetIsGivenUp = true
        // Refused only for want of a word, it is the way on.
        if let undo { verdicts[undo].refusal = check(.undo, on: relationship, item: item, facts: given) }
        let allowed = Set(verdicts.filter { $0.refusal == nil }.map(\.operation))
        var steps = Advice.steps(in: relationship.state).filter { allowed.contains($0.operation) }
        // Where the source does not answer, what leads on is a failover: it comes before all that could only wait.
        let isLost = facts.sourceReachable == false && relationship.owner == relationship.source
        if isLost, let index = steps.firstIndex(where: { $0.operation == .unplannedFailover }) {
            steps.remove(at: index)
            steps.insert(
                NextSteps.Step(
                    .unplannedFailover,
                    "the source does not answer: if it is lost, this starts the VM at the other side"), at: 0)
        }
        // The same the other way round: a failover whose target is lost leads back.
        let ownerIsLost = facts.targetReachable == false && relationship.owner == relationship.target
        if ownerIsLost, let index = steps.firstIndex(where: { $0.operation == .undo }) {
            steps.remove(at: index)
            steps.insert(
                NextSteps.Step(
                    .undo,
                    "the target does not answer: if it is lost, this starts the VM at the source again; say how that is "
                        + "certain, target = \"fence\" or \"declared lost\"", needs: ["target"]), at: 0)
        }
        let refused = verdicts.compactMap(\.refusal)
        var summary = summary(relationship, facts, isLost: isLost)
        let expected = Advice.steps(in: relationship.state).first?.operation
        if steps.isEmpty, facts.activeOperation == nil, let expected,
            let refusal = refused.first(where: { $0.operation == expected })
        {
            summary += " Nothing may begin now, because: \(refusal.rule.sentence) \(refusal.rule.hint)"
        }
        return NextSteps(summary: summary, steps: steps, refused: refused)
    }

    private static func summary(_ relationship: Relationship, _ facts: SiteFacts, isLost: Bool) -> String {
        var words = [Advice.summary(of: relationship.state)]
        if let trouble = relationship.trouble, [.error, .resyncRequired].contains(relationship.state) {
            words.append("Found: \(trouble.failure.message).")
            if let hint = trouble.failure.hint { words.append("Recommended: \(hint).") }
        }
        if let at = relationship.resyncAt { words.append("A resync is set for \(at.utcText).") }
        if isLost { words.append("The host that it is replicated from does not answer.") }
        if relationship.owner == relationship.source, facts.targetReachable == false {
            words.append("The host that holds its points does not answer; until it does, no point can be made or used.")
        }
        if relationship.owner == relationship.target, facts.targetReachable == false {
            words.append("The host that owns it does not answer.")
        }
        if let management = facts.management, !facts.isManagementVM, management.running != true {
            words.append(
                "The management server's own VM is not seen running: start it, or fail it over first where its host is lost."
            )
        }
        if let copy = relationship.formerCopy, copy.state == .suspended, facts.runningAt?.contains(copy.host) == true {
            words.append(
                "A former copy is suspended at the other side: save what it holds if you need it and end it there; then the "
                    + "way back is open.")
        }
        if let running = facts.activeOperation {
            words.append(
                facts.activeJobIsOrphaned
                    ? "A job of \(running.rawValue) has the VM, and nobody drives it: its engine is dead. `perilune replicate` takes "
                        + "it up, and so does \(running.rawValue) with the same options."
                    : facts.activeJobIsHeld
                        ? "A job of \(running.rawValue) has the VM, and its plan holds it until its group's turn comes. If that "
                            + "run has ended, nothing takes the job up by itself: run the plan again, or \(running.rawValue) of "
                            + "this VM with the same options."
                        : "A job of \(running.rawValue) has the VM: wait for its end.")
        }
        return words.joined(separator: " ")
    }
}

/// What each state means for the person at the keys, and which way leads on from it.
package enum Advice {
    /// Where a VM in that state stands, and what is expected next.
    package static func summary(of state: ReplicationState) -> String {
        switch state {
        case .unprotected: "It is not replicated. Protect it."
        case .firstCopyPending: "Its first copy is outstanding. Start it, or import it where it was carried."
        case .firstCopy: "Its first copy is on the way. Wait until it is whole."
        case .protected: "It is replicated. Nothing needs to be done; a test failover shows that it would come up."
        case .paused: "Replication is held back, and the points grow old. Resume it."
        case .error: "Replication stopped, and a person must look. Mend the cause, then resume."
        case .resyncRequired: "The two sides have diverged, and no point is made. Resync."
        case .resynchronizing: "The disks of both sides are compared. Wait until that has ended."
        case .resyncPaused: "Comparing the disks is held back, and no point is made. Resume it."
        case .testing: "A test VM runs beside it. Look at that, then clean it up."
        case .failingOverPlanned, .failingOver:
            "A failover is on its way, and is driven to its end. Wait; it is never cancelled half-way."
        case .failedOver: "It runs at the other side from a chosen point. Look at it, then commit."
        case .committed: "Its failover is final and it is not replicated now. Reverse when the other site is back."
        case .reversing: "Replication the other way is being set up. Wait for its first point."
        }
    }

    /// What may come next in a state, facts aside, the recommended first: all that the table allows there.
    package static func steps(in state: ReplicationState) -> [NextSteps.Step] {
        let words = words(in: state)
        return words.map { NextSteps.Step($0.0, $0.1) }
    }

    private static func words(in state: ReplicationState) -> [(Operation, String)] {
        switch state {
        case .unprotected: [(.protect, "begins replication")]
        case .firstCopyPending:
            [
                (.startFirstCopy, "makes the first copy now, over the network"),
                (.importFirstCopy, "takes in the copy that was carried to the target"),
                (.cancelFirstCopy, "calls the scheduled copy off; it then waits for a word"),
                (.unprotect, "gives replication up"),
            ]
        case .firstCopy:
            [
                (.cancelFirstCopy, "ends the copy; it can be started again later"),
                (.unprotect, "gives replication up"),
            ]
        case .protected:
            [
                (.testFailover, "shows that the VM comes up at the other side, beside production"),
                (.sync, "makes a new recovery point now"),
                (.verify, "compares both sides whole at one instant, and sends again what differs"),
                (.verifyPoint, "reads stored points and compares them with what was written"),
                (.cancelVerify, "ends a verification that runs"),
                (.plannedFailover, "moves the VM to the other side and loses nothing"),
                (.unplannedFailover, "starts the VM at the other side when its source is lost"),
                (.pause, "holds replication back"), (.unprotect, "ends replication"),
            ]
        case .paused:
            [
                (.resume, "sends all that changed since the pause, as one point, and goes on"),
                (.resync, "compares whole disks first, where you do not trust what is known of the changes"),
                (.unplannedFailover, "starts the VM at the other side from a point made before the pause"),
                (.verifyPoint, "reads stored points and compares them with what was written"),
                (.cancelVerify, "ends a verification that runs"),
                (.unprotect, "ends replication"),
            ]
        case .error:
            [
                (.resume, "tries a cycle, once the cause is mended; replication goes on when it succeeds"),
                (.resync, "compares whole disks instead"),
                (.verifyPoint, "reads stored points and compares them with what was written"),
                (.cancelVerify, "ends a verification that runs"),
                (.unplannedFailover, "starts the VM at the other side from the points that are there"),
                (.unprotect, "ends replication; the VM can be protected anew"),
            ]
        case .resyncRequired:
            [
                (.resync, "compares whole disks, now or at a time you name, and sends what differs"),
                (.verifyPoint, "reads stored points and compares them with what was written"),
                (.cancelVerify, "ends a verification that runs"),
                (.unplannedFailover, "starts the VM at the other side from the points that are there"),
                (.unprotect, "ends replication; the VM can be protected anew"),
            ]
        case .resynchronizing:
            [
                (.pauseResync, "holds the comparison back until you resume"),
                (.cancelResync, "ends the comparison; the next one starts over"),
                (.unplannedFailover, "ends the comparison and starts the VM at the other side from the points there"),
                (.unprotect, "ends replication"),
            ]
        case .resyncPaused:
            [
                (.resume, "goes on with the comparison"), (.resync, "does the same"),
                (.cancelResync, "gives the comparison up; the sides stay diverged until the next one"),
                (.unplannedFailover, "starts the VM at the other side from the points that are there"),
                (.unprotect, "ends replication"),
            ]
        case .testing:
            [
                (.cleanUpTest, "removes the test VM; only then does the test count as passed"),
                (.sync, "makes a new recovery point now; replication goes on during a test"),
                (.verify, "compares both sides whole at one instant, and sends again what differs"),
                (.verifyPoint, "reads stored points and compares them with what was written"),
                (.cancelVerify, "ends a verification that runs"),
            ]
        case .failingOverPlanned, .failingOver:
            [(.undo, "gives the failover up where its target is lost: the VM starts at the source again")]
        case .failedOver:
            [
                (.commit, "makes the failover final, once you have seen that the VM is right"),
                (.changePoint, "starts it anew from another recovery point"),
                (.verifyPoint, "reads stored points and compares them with what was written"),
                (.cancelVerify, "ends a verification that runs"),
                (.undo, "goes back to the source as it was before the failover"),
            ]
        case .committed:
            [
                (.reverse, "replicates the other way, when the other site is back"),
                (.unprotect, "ends replication; the VM stays where it runs"),
            ]
        case .reversing:
            [
                (
                    .unplannedFailover,
                    "starts the VM at the other side if its owner is lost and a reversed point is whole"
                ),
                (.unprotect, "gives the reversal up; the VM stays where it runs"),
            ]
        }
    }
}
