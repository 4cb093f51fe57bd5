/// State of a relationship, and so of the protected item that owns it (reference 2.1 and 2.3).
package enum ReplicationState: String, Codable, Hashable, Sendable, CaseIterable {
    /// No replication.
    case unprotected
    /// The first copy is outstanding: scheduled, or exported and not yet imported.
    case firstCopyPending = "first-copy-pending"
    /// The first copy is on its way.
    case firstCopy = "first-copy"
    /// Replicating: points arrive at the target.
    case protected
    case paused
    /// Replication stopped by a failure that a person must look at.
    case error
    case resyncRequired = "resync-required"
    case resynchronizing
    case resyncPaused = "resync-paused"
    /// A test VM exists at the target.
    case testing
    /// A planned failover is running: the source is stopped and the last point is on its way.
    case failingOverPlanned = "failing-over-planned"
    /// An unplanned failover is running.
    case failingOver = "failing-over"
    /// The VM runs at the target from a chosen point; commit is pending.
    case failedOver = "failed-over"
    /// The failover is final; replication is stopped until it is reversed.
    case committed
    /// Replication the other way is being set up: its first point is on its way.
    case reversing
}
