import SiteModel
import Synchronization

/// What a replicator has done since it was started.
package struct ReplicatorFigures: Hashable, Sendable {
    package var begun = 0
    package var succeeded = 0
    package var failed = 0
    /// Cycles that began more than a tenth of their copy frequency after they were due.
    package var late = 0
    /// The longest that a cycle began after it was due, in seconds, and as a share of its copy frequency.
    package var longestDelay = 0.0
    package var longestShare = 0.0
    package var running = 0
    /// Due, and waiting for room at a host or on a link.
    package var waiting = 0
    package var watched = 0
}

/// Figures that a replicator keeps, to be read while it runs.
package final class ReplicatorGauge: Sendable {
    private let state = Mutex(ReplicatorFigures())

    package init() {}

    package var figures: ReplicatorFigures { state.withLock { $0 } }

    func change(_ body: (inout ReplicatorFigures) -> Void) { state.withLock { body(&$0) } }
}
