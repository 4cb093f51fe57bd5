/// Something done before a group begins or after it has started.
package struct PlanAction: Codable, Hashable, Sendable {
    package var name: String
    package var work: PlanWork
    /// What the plan must be run for.
    ///
    /// Left out of a plan it is every failover and test; clean-up of a test, commit and reverse are named where
    /// wanted.
    package var operations: [PlanOperation]
    package var directions: [PlanDirection]
    /// Seconds that one attempt may take.
    package var timeout: Double
    /// How often it is tried again after a failure.
    package var retries: Int
    /// Whether its failure is a failure of the run; else it is a warning.
    package var isCritical: Bool

    package static let defaultOperations: [PlanOperation] = [.test, .planned, .unplanned]
    package init(
        name: String, work: PlanWork, operations: [PlanOperation] = PlanAction.defaultOperations,
        directions: [PlanDirection] = PlanDirection.allCases, timeout: Double? = nil, retries: Int = 0,
        isCritical: Bool = true
    ) {
        self.name = name
        self.work = work
        self.operations = operations
        self.directions = directions
        self.timeout = timeout ?? work.defaultTimeout
        self.retries = retries
        self.isCritical = isCritical
    }

    /// Whether it is done in a run of that kind and direction.
    package func applies(to operation: PlanOperation, _ direction: PlanDirection) -> Bool {
        operations.contains(operation) && directions.contains(direction)
    }
}

/// What an action does.
package enum PlanWork: Codable, Hashable, Sendable {
    /// Calls a function of a Lua module with the context of the action.
    case function(module: String, function: String)
    /// Calls a function that the script which made the plan handed over: it lives as long as that script's run.
    case inline(run: String, number: UInt64)
    /// Runs a command on a host, or where the plan is run from when none is named; exit status 0 is success.
    case command(host: String?, argv: [String])
    /// Runs a command in a guest, through its QEMU guest agent.
    case guestCommand(vm: String, argv: [String])
    /// Shows instructions and waits until somebody confirms.
    case manual(instructions: String)
    case wait(seconds: Double)
    /// Asks a guest over HTTP from its site, until it answers with a status below 400.
    case check(vm: String, host: String, port: Int, path: String)

    /// The reference's time limit of a script, in seconds; people may take a week, and a wait takes its time.
    package var defaultTimeout: Double {
        switch self {
        case .manual, .wait: PlanLimits.timeout.upperBound
        default: 600
        }
    }

    /// One word for it, as scripts and files name it.
    package var word: String {
        switch self {
        case .function: "call"
        case .inline: "inline"
        case .command, .guestCommand: "command"
        case .manual: "manual"
        case .wait: "wait"
        case .check: "check"
        }
    }

    /// What it does, in a few words for people.
    package var summary: String {
        switch self {
        case .function(let module, let function): "call \(module).\(function)"
        case .inline: "call a function of the script"
        case .command(let host, let argv): "run \(argv.joined(separator: " "))" + (host.map { " on \($0)" } ?? "")
        case .guestCommand(let vm, let argv): "run \(argv.joined(separator: " ")) in \(vm)"
        case .manual(let instructions): "manual: \(instructions.split(separator: "\n").first ?? "")"
        case .wait(let seconds): "wait \(PlanValue.shown(seconds)) s"
        case .check(let vm, let host, let port, let path): "check http://\(host):\(port)\(path) of \(vm)"
        }
    }
}
