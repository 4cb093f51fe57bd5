/// Which failures of a copy stop replication until a person has looked, and which pass by themselves (reference 2.1, 7.5).
package enum FailureJudgement {
    /// Failures in a row, while both sites answer, after which replication stops and waits for a person.
    package static let most = 5

    /// What a failure of that kind comes to, when it is the `inARow`th since the last success; nil when cycles simply go on.
    ///
    /// Words of either spelling ("noSpace", "no-space") are the same kind.
    package static func finding(_ kind: String, inARow: Int) -> Finding? {
        let word = plain(kind)
        if divergence.contains(word) { return .diverged }
        if needsAPerson.contains(word) { return .replicationStopped }
        return counts(kind) && inARow >= most ? .replicationStopped : nil
    }

    /// Whether a failure is one of those that are counted.
    ///
    /// A site or a link that does not answer is not: when it answers again, cycles go on by themselves, however long it took.
    package static func counts(_ kind: String) -> Bool { !passing.contains(plain(kind)) }

    private static func plain(_ kind: String) -> String { kind.lowercased().filter { $0 != "-" } }

    private static let divergence: Set = ["diverged"]
    private static let needsAPerson: Set = [
        "diskschanged", "vmgone", "vaultbehind", "staleepoch", "notauthorized", "unsupported",
        "protocolviolation", "invaliddefinition",
    ]
    private static let passing: Set = [
        "unreachable", "disconnected", "timedout", "busy", "leaselost", "cancelled", "refused", "sourcenotdown",
        "shutdowntimedout",
    ]
}

/// Why replication of a VM stands, in words for the person who has to look.
package struct ReplicationTrouble: Codable, Hashable, Sendable {
    package var finding: Finding
    package var since: Timestamp
    /// The failure that it was found by; of several, the last.
    package var failure: JobFailure

    package init(finding: Finding, since: Timestamp, failure: JobFailure) {
        self.finding = finding
        self.since = since
        self.failure = failure
    }
}

extension Relationship {
    /// Takes note that a copy failed: its state, the count of failures in a row, and the cause where a person must look.
    ///
    /// Returns the finding when it has just changed the state.
    @discardableResult
    package mutating func note(_ failure: JobFailure, at now: Timestamp) -> Finding? {
        if FailureJudgement.counts(failure.kind) { failuresInARow = (failuresInARow ?? 0) + 1 }
        let finding = FailureJudgement.finding(failure.kind, inARow: failuresInARow ?? 0)
        let next = finding.map { TransitionTable.afterFinding($0, in: state) } ?? state
        let isNew = next != state
        state = next
        if isNew, let finding {
            trouble = ReplicationTrouble(finding: finding, since: now, failure: failure)
        } else if state == .error || state == .resyncRequired {
            trouble?.failure = failure
        }
        return isNew ? finding : nil
    }

    /// Forgets what stood in the way, as far as the state that was reached now says that it does no longer.
    package mutating func settleTrouble() {
        switch state {
        case .error, .resyncRequired, .resynchronizing, .resyncPaused: return
        case .testing, .paused: failuresInARow = nil
        default: (failuresInARow, trouble, resyncAt) = (nil, nil, nil)
        }
    }
}
