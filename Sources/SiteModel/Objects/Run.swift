/// One execution of a Lua script.
package struct Run: SiteObject {
    package static let kind = "run"
    package var id: String
    /// The script's name, as given.
    package var script: String
    package var name: String { id }
    package var parent: String? { nil }
    package var text: String
    package var startedAt: Timestamp
    package var endedAt: Timestamp?
    /// Nil while it is not over; then "succeeded" or the error's one line.
    package var outcome: String?
    /// What it takes to go on with the run in another process; nil for one that ends with its own.
    package var setUp: RunSetUp?
    /// Why it stands still and waits for a person; nil while it does not.
    package var pause: RunPause?

    package init(id: String, script: String, text: String, startedAt: Timestamp) {
        self.id = id
        self.script = script
        self.text = text
        self.startedAt = startedAt
    }

    /// Whether another process may go on with it.
    package var isOpen: Bool { setUp != nil && endedAt == nil }
}

/// With what a run was started, so that it goes on with just that.
package struct RunSetUp: Codable, Hashable, Sendable {
    package var arguments: [String]
    /// Where modules that the run has not loaded yet are looked for.
    package var scriptFolder: String?
    package var libraries: [String]
    /// Names of powers.
    package var grants: [String]
    package var folders: [RunFolder]
    /// Lua instructions; nil for no limit.
    package var instructions: UInt64?
    /// Seconds that Lua may compute; nil for no limit.
    package var seconds: Double?
    /// Bytes.
    package var memory: Int

    package init(
        arguments: [String], scriptFolder: String?, libraries: [String], grants: [String], folders: [RunFolder],
        instructions: UInt64?, seconds: Double?, memory: Int
    ) {
        self.arguments = arguments
        self.scriptFolder = scriptFolder
        self.libraries = libraries
        self.grants = grants
        self.folders = folders
        self.instructions = instructions
        self.seconds = seconds
        self.memory = memory
    }
}

/// A folder that a run may work in.
package struct RunFolder: Codable, Hashable, Sendable {
    package var path: String
    package var isWritable: Bool

    package init(path: String, isWritable: Bool) {
        self.path = path
        self.isWritable = isWritable
    }
}

/// Why a run stands still.
package struct RunPause: Codable, Hashable, Sendable {
    /// What it takes for the run to go on.
    package enum Cause: String, Codable, Hashable, Sendable {
        /// A step failed, and nothing in the script would catch it: a person says what becomes of it.
        case failed
        /// A step was begun, and nobody knows whether it was done: a person says what becomes of it.
        case unknown
        /// The script took another way than the journal has; it can only be cancelled, or repeated from an earlier step.
        case diverged
        /// Its process was told to stop; it goes on as it is.
        case interrupted
    }

    package var cause: Cause
    /// The step that it stands at ("0.2#3"); nil when it stands between steps.
    package var step: String?
    /// The function of that step.
    package var function: String?
    /// Where the script called it ("dr.lua:14").
    package var position: String?
    /// One sentence.
    package var message: String
    package var hint: String?
    package var rule: String?
    package var at: Timestamp

    package init(
        _ cause: Cause, step: String? = nil, function: String? = nil, position: String? = nil, message: String,
        hint: String? = nil, rule: String? = nil, at: Timestamp
    ) {
        self.cause = cause
        self.step = step
        self.function = function
        self.position = position
        self.message = message
        self.hint = hint
        self.rule = rule
        self.at = at
    }

    /// Whether a person has to say what becomes of the step.
    package var wantsDecision: Bool { cause == .failed || cause == .unknown }
}
