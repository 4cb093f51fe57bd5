/// What the health of a VM's replication is judged by.
package struct HealthFacts: Hashable, Sendable {
    package var name: String
    package var state: ReplicationState
    package var now: Timestamp
    /// Seconds between cycles, as the policy says.
    package var frequency: Double
    /// The instant that the newest whole point at the target shows.
    package var newestPoint: Timestamp?
    /// Since when the VM writes at a place that nobody replicates: the failover that was not reversed yet.
    package var failedOverAt: Timestamp?
    package var statistics: ReplicationStatistics?
    /// On which side replication was paused.
    package var pausedAt: ReplicationSide
    /// Disks that are in no point yet, or cannot be, each with the reason.
    package var unreplicated: [String: String] = [:]
    /// Why the last point that was to be application-consistent is not; nil when it is.
    package var applicationTrouble: String?
    /// Numbers of the points that are known to be damaged, oldest first; whether the newest is one of them.
    package var damaged: [Int] = []
    package var newestIsDamaged = false

    package init(
        name: String, state: ReplicationState, now: Timestamp, frequency: Double, newestPoint: Timestamp?,
        failedOverAt: Timestamp? = nil, statistics: ReplicationStatistics?, pausedAt: ReplicationSide = .source
    ) {
        self.name = name
        self.state = state
        self.now = now
        self.frequency = frequency
        self.newestPoint = newestPoint
        self.failedOverAt = failedOverAt
        self.statistics = statistics
        self.pausedAt = pausedAt
    }

    /// Whether cycles are due in this state.
    package var isCopied: Bool { state.isCopied }

    /// Seconds of writes that would be lost if the VM's present place were lost now; nil when there is no point at all.
    ///
    /// Never better than true: counted from the instant that the newest whole point shows, not from its arrival; after a
    /// failover from that, because nothing written since is anywhere else.
    package var recoveryPointAge: Double? {
        if state == .failedOver || state == .committed || state == .reversing, let failedOverAt {
            return max(0, now.seconds(since: failedOverAt))
        }
        return newestPoint.map { max(0, now.seconds(since: $0)) }
    }
}

extension ReplicationState {
    /// Whether cycles are made in this state.
    package var isCopied: Bool { self == .protected || self == .testing }
}
