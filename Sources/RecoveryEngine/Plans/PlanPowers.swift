package import SiteModel

/// What the actions of plans are carried out by.
///
/// Each is there only where the run was given it; an action whose power is missing fails and says so.
package struct PlanPowers: Sendable {
    /// Runs commands on hosts: the power `exec`.
    package var commands: (any ActionRunner)?
    package var functions: (any PlanFunctions)?
    /// Asks a person; without one a manual action waits until it is confirmed from elsewhere.
    package var prompt: (any PlanPrompt)?

    package init(
        commands: (any ActionRunner)? = nil, functions: (any PlanFunctions)? = nil, prompt: (any PlanPrompt)? = nil
    ) {
        self.commands = commands
        self.functions = functions
        self.prompt = prompt
    }
}

/// Runs commands on hosts.
package protocol ActionRunner: Sendable {
    /// Runs a program with its arguments, which no shell reads, and returns all that it said; without a host it runs
    /// where the engine does.
    ///
    /// Ends the program when the calling task is cancelled; `timeout` in seconds is the latest that this can be.
    func run(_ argv: [String], on host: Host?, timeout: Double) async throws -> ActionOutput
}

/// Calls Lua functions.
package protocol PlanFunctions: Sendable {
    /// Calls a function of a module; what it prints and returns is its output, and an error is a failure.
    func call(module: String, function: String, _ context: PlanActionContext) async throws -> ActionOutput
    /// Calls a function that a script handed over with its plan, if that script is the one that runs.
    func call(inline number: UInt64, of run: String, _ context: PlanActionContext) async throws -> ActionOutput
}

/// Asks a person to do something and to say so.
package protocol PlanPrompt: Sendable {
    /// Waits for the confirmation and returns what the person wrote with it, which may be nothing.
    ///
    /// Throws when the person says that it cannot be done, and when the calling task is cancelled.
    func confirm(_ request: PlanPromptRequest) async throws -> String
}

package struct PlanPromptRequest: Hashable, Sendable {
    package var plan: String
    package var group: String
    package var action: String
    package var instructions: String
}

/// What a command came to.
package struct ActionOutput: Hashable, Sendable {
    /// All that it said on standard output and standard error, in order.
    package var text: String
    /// Exit status; 0 is success.
    package var status: Int32

    package init(_ text: String, status: Int32 = 0) {
        self.text = text
        self.status = status
    }
}

/// What an action knows of the run that it is part of.
package struct PlanActionContext: Hashable, Sendable {
    package struct VM: Hashable, Sendable {
        package var name: String
        package var state: ReplicationState
        /// Names of hosts.
        package var owner: String
        package var source: String
        package var target: String
        /// Number and time of the recovery point that it was failed over to, once it was.
        package var point: Int?
        package var at: Timestamp?
    }

    package var plan: String
    package var operation: PlanOperation
    package var direction: PlanDirection
    package var group: String
    /// "before" or "after".
    package var place: String
    /// The VMs of the group; all of the plan around the shutdown and failover steps.
    package var vms: [VM]
}

/// An action that failed, with what it had said until then.
package struct ActionFailure: Error {
    package var message: String
    /// What to do about it.
    package var hint: String?
    package var output: String?

    package init(_ message: String, hint: String? = nil, output: String? = nil) {
        self.message = message
        self.hint = hint
        self.output = output
    }
}
