import SiteModel
import VaultStore

/// Keeps a relationship's statistics, within the transaction that ends a cycle.
struct CycleAccounting {
    let relationship: Relationship
    let vault: any VaultWriter
    let now: Timestamp
    /// Seconds that local time is ahead of UTC.
    let offset: Int

    /// Operations that are cycles, or stand in for one: where they fail, replication has failed.
    private static let cycles: Set<Operation> = [.sync, .protect, .startFirstCopy, .resync, .resume]

    /// A point that the vault did not know is whole.
    ///
    /// - Parameter begins: whether replication begins with it: what was not copied before was not missed.
    func notePoint(shown: Timestamp, bytes: UInt64, begins: Bool) throws {
        try change { statistics, frequency in
            if begins { statistics.accountedUntil = nil }
            // One that was forgotten and is taken in again was counted when it was made.
            if let last = statistics.lastSync, shown <= last { return }
            statistics.notePoint(shown: shown, bytes: bytes, at: now, frequency: frequency)
        }
    }

    /// A job failed; nothing is counted where it was no cycle.
    func noteFailure(of operation: Operation, _ failure: JobFailure) throws {
        guard Self.cycles.contains(operation) else { return }
        try noteFailure(kind: failure.kind, failure.message, hint: failure.hint)
    }

    func noteFailure(kind: String, _ message: String, hint: String?) throws {
        let failure = CycleFailure(cause: .of(kind), message: message, hint: hint, at: now)
        try change { $0.noteFailure(failure, frequency: $1) }
    }

    /// An operation has left the relationship in a state.
    func noteState(_ state: ReplicationState, after operation: Operation) throws {
        if state == .unprotected, let last = try vault.object(ReplicationStatistics.self, id: relationship.id) {
            return try vault.delete(last)
        }
        guard state.isCopied, operation == .resume || operation == .undo else { return }
        try change { statistics, _ in statistics.resumeCounting(at: now) }
    }

    /// Changes the statistics; they are made where there are none.
    func change(_ body: (inout ReplicationStatistics, _ frequency: Double) throws -> Void) throws {
        let policy = try vault.object(Policy.self, id: relationship.policy)?.value
        let frequency = Double(policy?.copyFrequencySeconds ?? 300)
        let window = MonitoringWindow.containing(now, policy: policy, offset: offset)
        guard var stored = try vault.object(ReplicationStatistics.self, id: relationship.id) else {
            var fresh = ReplicationStatistics(relationship: relationship.id, window: window, since: now)
            try body(&fresh, frequency)
            try vault.insert(fresh)
            return
        }
        let before = stored.value
        try roll(&stored.value, to: window, frequency)
        try body(&stored.value, frequency)
        if stored.value != before { try vault.update(stored) }
    }

    /// Begins a new stretch when the old one is over; the old one's figures become an event.
    private func roll(_ statistics: inout ReplicationStatistics, to window: MonitoringWindow, _ frequency: Double)
        throws
    {
        let counted = relationship.state.isCopied ? frequency : nil
        guard let summary = statistics.roll(to: window, at: now, counted: counted) else { return }
        try vault.append(
            Event(
                at: now, severity: .info, object: relationship.id,
                text: "statistics of \(relationship.name) from \(Instants.utc(summary.since)) to "
                    + "\(Instants.utc(summary.window.end)): \(summary.sentence)",
                code: "window-statistics", topic: .vm))
    }
}

extension JobDriver {
    /// What keeps the statistics of this job's relationship in a transaction of its own.
    nonisolated static func accounting(
        _ relationship: Relationship, _ vault: any VaultWriter, _ dependencies: EngineDependencies
    ) -> CycleAccounting {
        let now = dependencies.clock.now
        return CycleAccounting(
            relationship: relationship, vault: vault, now: now, offset: dependencies.localOffset(now))
    }
}
