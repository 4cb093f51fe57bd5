package import SiteModel

/// What the actions of plans are carried out by.
///
/// Each is there only where the run was given it; an action whose power is missing fails and says so.
package struct PlanPowers: Sendable {
    /// Runs commands: the power `exec`.
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

extension PlanPowers {
    /// Why an action cannot even begin with what this run was given, or with this version; nil when it can.
    func lacking(for work: PlanWork) -> ActionFailure? {
        switch work {
        case .command(let host?, _):
            ActionFailure(
                "it runs a command on host \(host), and agents run no commands in this version",
                hint: PlanProblem.withoutHost(host))
        case .command, .guestCommand:
            commands == nil
                ? ActionFailure("this run may not run commands", hint: "grant it the power: --grant exec") : nil
        case .function:
            functions == nil ? Self.noFunctions : nil
        case .inline(let run, let number):
            if let functions { functions.problem(inline: number, of: run) } else { Self.noFunctions }
        case .manual, .wait, .check:
            nil
        }
    }

    private static let noFunctions = ActionFailure(
        "this run has nothing to call a Lua function with", hint: "run the plan from a script or the command line")
}

extension PlanProblem {
    /// What to do instead of naming a host for a command.
    static func withoutHost(_ host: String) -> String {
        "leave 'host' out and let the command go there itself, as command = { \"/usr/bin/ssh\", \"\(host)\", ... }"
    }
}

/// Runs commands on the machine that the engine runs on.
package protocol ActionRunner: Sendable {
    /// Runs a program with its arguments, which no shell reads, and returns all that it said.
    ///
    /// Ends the program when the calling task is cancelled; `timeout` in seconds is the latest that this can be.
    func run(_ argv: [String], timeout: Double) async throws -> ActionOutput
}

/// Calls Lua functions.
package protocol PlanFunctions: Sendable {
    /// Calls a function of a module; what it prints and returns is its output, and an error is a failure.
    func call(module: String, function: String, _ context: PlanActionContext) async throws -> ActionOutput
    /// Calls a function that a script handed over with its plan, if that script is the one that runs.
    func call(inline number: UInt64, of run: String, _ context: PlanActionContext) async throws -> ActionOutput
    /// Why that function cannot be called by this run; nil when it can.
    func problem(inline number: UInt64, of run: String) -> ActionFailure?
}

extension PlanFunctions {
    package func problem(inline number: UInt64, of run: String) -> ActionFailure? { nil }
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
