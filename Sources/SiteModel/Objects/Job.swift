/// One execution of an operation: its stages, progress and outcome.
///
/// The record is the operation's durable memory. A stage's intent is written before it acts and its result after;
/// an engine that finds an open job goes on from there.
package struct Job: SiteObject {
    package static let kind = "job"
    package var id: String
    package var operation: Operation
    package var name: String { id }
    /// The relationship that the job works on.
    package var relationship: String
    package var parent: String? { relationship }
    /// Options of the operation, as the caller gave them.
    package var arguments: [String: String]
    /// State of the relationship before the job began: where it goes back to when it is undone.
    package var origin: ReplicationState
    package var stages: [Stage]
    package var state: JobState
    package var progress: TransferProgress?
    package var failure: JobFailure?
    /// Facts that later stages and the caller need ("generation", "bytes", "verdict").
    package var facts: [String: String]
    package var startedAt: Timestamp
    package var endedAt: Timestamp?
    /// The run that asked for it, if a script did.
    package var run: String?
    /// Every failure that it met, the last one too, oldest first; nil when it met none.
    package var failures: [JobFailure]?

    package init(
        id: String, operation: Operation, relationship: String, arguments: [String: String],
        origin: ReplicationState, stages: [Stage], startedAt: Timestamp, run: String?
    ) {
        self.id = id
        self.operation = operation
        self.relationship = relationship
        self.arguments = arguments
        self.origin = origin
        self.stages = stages
        self.state = .running
        self.facts = [:]
        self.startedAt = startedAt
        self.run = run
    }
}

/// A step of an operation that looks at the world first and does only what is missing.
package struct Stage: Codable, Hashable, Sendable {
    package var name: String
    package var state: StageState
    package var startedAt: Timestamp?
    package var endedAt: Timestamp?

    package init(name: String) {
        self.name = name
        self.state = .pending
    }
}

/// How far a stage is: `begun` is the intent on disk, `done` the result.
package enum StageState: String, Codable, Hashable, Sendable {
    case pending, begun, done
}

package enum JobState: String, Codable, Hashable, Sendable {
    case running, succeeded, failed, cancelled

    package var isOpen: Bool { self == .running }
}

/// How far a copy is, in bytes.
package struct TransferProgress: Codable, Hashable, Sendable {
    package var done: UInt64
    package var total: UInt64
    package var bytesPerSecond: Double

    package init(done: UInt64, total: UInt64, bytesPerSecond: Double) {
        self.done = done
        self.total = total
        self.bytesPerSecond = bytesPerSecond
    }

    /// Seconds until all is done at the present rate; nil while nothing moves.
    package var secondsLeft: Double? {
        guard bytesPerSecond > 0, total >= done else { return nil }
        return Double(total - done) / bytesPerSecond
    }
}
