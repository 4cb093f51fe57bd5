// What can be told of a job from its record (reference 1.15).

/// How a job ended, in more words than its state.
package enum JobOutcome: String, Codable, Hashable, Sendable, CaseIterable {
    case running
    /// It stands at a stage that failed and can only be driven on.
    case waiting
    case completed
    /// It did what it was asked for, and something beside that wants to be looked at.
    case completedWithInformation = "completed-with-information"
    case failed, cancelled
}

/// What may be done with a job.
package enum JobAction: String, Codable, Hashable, Sendable, CaseIterable {
    /// Give the same command again: it goes on at the stage that failed.
    case resume
    /// Give the same command again: it begins anew.
    case restart
    /// End it by the operation that ends a copy.
    case cancel
}

extension Job {
    package var outcome: JobOutcome {
        switch state {
        case .running: failure == nil ? .running : .waiting
        case .succeeded: facts["warning"] == nil ? .completed : .completedWithInformation
        case .failed: .failed
        case .cancelled: .cancelled
        }
    }

    /// What may be done with the job now: copies can be ended, failovers never.
    package var allowedActions: [JobAction] {
        switch outcome {
        case .waiting: [.resume]
        case .failed, .cancelled: [.restart]
        case .running:
            [Operation.cancelFirstCopy, .cancelResync].contains { TransitionTable.ends($0, running: operation) }
                ? [.cancel] : []
        case .completed, .completedWithInformation: []
        }
    }
}
