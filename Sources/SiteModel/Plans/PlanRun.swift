/// One run of a plan: what a job is for an operation.
///
/// What is done, action by action and VM by VM, is in `PlanStep` objects under it, so that a run of a thousand VMs
/// writes a little at a time.
package struct PlanRun: SiteObject {
    package static let kind = "plan-run"
    package var id: String
    package var name: String { id }
    package var plan: String
    package var parent: String? { plan }
    package var operation: PlanOperation
    package var direction: PlanDirection
    /// Options of the operations, as the caller gave them.
    package var arguments: [String: String]
    package var state: PlanRunState
    /// What it is doing now, for people.
    package var phase: String?
    package var failure: JobFailure?
    package var startedAt: Timestamp
    package var endedAt: Timestamp?
    /// The script's run that asked for it, if a script did.
    package var run: String?
    /// The step of that run; nil for one that keeps no journal.
    package var step: String?

    package init(
        id: String, plan: String, operation: PlanOperation, direction: PlanDirection, arguments: [String: String],
        startedAt: Timestamp, run: String?, step: String? = nil
    ) {
        self.id = id
        self.plan = plan
        self.operation = operation
        self.direction = direction
        self.arguments = arguments
        self.state = .running
        self.startedAt = startedAt
        self.run = run
        self.step = step
    }
}

package enum PlanRunState: String, Codable, Hashable, Sendable {
    case running, succeeded
    /// It ended at the first failure; the same run is taken up again when the plan is run so anew.
    case stopped
    /// It went through to its end, and something failed on the way; what failed is done when the plan is run so anew.
    case incomplete
    /// Another run of the plan took its place.
    case superseded

    /// Whether running the plan in the same way goes on from here.
    package var isOpen: Bool { self == .running || self == .stopped || self == .incomplete }
}

/// One action, or the passage of one VM, in a run.
package struct PlanStep: SiteObject {
    package static let kind = "plan-step"
    package var id: String
    /// "vm:orders", or "action:web.after.1".
    package var name: String
    package var planRun: String
    package var parent: String? { planRun }
    package var group: String
    package var state: PlanStepState
    /// The job that moved the VM.
    package var job: String?
    /// Why it failed, or why it was passed over.
    package var detail: String?
    /// All that an action said.
    package var output: String?
    /// What the person wrote who confirmed a manual action.
    package var observation: String?
    package var attempts: Int
    package var startedAt: Timestamp?
    package var endedAt: Timestamp?
    /// Seconds of work of the VM that are lost: from its recovery point to the failover.
    package var lossSeconds: Double?

    package init(id: String, name: String, planRun: String, group: String) {
        self.id = id
        self.name = name
        self.planRun = planRun
        self.group = group
        self.state = .begun
        self.attempts = 0
    }
}

package enum PlanStepState: String, Codable, Hashable, Sendable {
    case begun, done, failed, skipped
    /// A manual action that nobody has confirmed yet.
    case waiting
}
