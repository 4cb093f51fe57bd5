import Foundation
package import LuaHost
import RecoveryEngine

/// What a run's journal says, one line each.
enum JournalEntry: Codable, Sendable, Hashable {
    /// A module that the run has loaded: it is this text from now on, whatever becomes of the file.
    case module(name: String, chunk: String, source: JournalValue, isForeign: Bool)
    /// A module that the run has looked for in vain: it is not there from now on either.
    case noModule(name: String, error: JournalError)
    /// A step that may change the world is about to be made.
    case began(step: String, function: String, arguments: String)
    /// A step is over; the script sees what is here, now and in each repetition.
    case finished(StepResult)
    /// A wait is over, and its task goes on: the order of these is the order of the run. In milliseconds since 1970.
    case turn(wait: String, at: Int64)
    /// A time that the script has read, in nanoseconds since 1970.
    case time(Int64)
    /// A line that the script has printed.
    case line(String)
    /// What a person has said of the step that the run stood at.
    case decided(Decision)
    /// A person has the run repeated from a step on: what was written since that step counts no more, but for the texts of modules.
    /// The steps named in `again` are made anew, those of them too whose jobs are there.
    case rewound(to: String, again: [String], by: String, at: Int64)
    /// Another process goes on with the run.
    case resumed(by: String, at: Int64)

    /// How a step ended.
    struct StepResult: Codable, Sendable, Hashable {
        var step: String
        var function: String
        /// Digest of its arguments.
        var arguments: String
        var values: [JournalValue]?
        var error: JournalError?
        /// What `tostring` shows of objects from then on.
        var notes: [StepNote]?

        /// What the script sees.
        var outcome: Result<[LuaValue], LuaError> {
            if let error { return .failure(error.error) }
            return .success((values ?? []).map(\.value))
        }
    }

    /// A person's word.
    struct Decision: Codable, Sendable, Hashable {
        var step: String
        var choice: RunDecision.Choice
        var value: JournalValue?
        var reason: String?
        var by: String
        var at: Int64
    }

    /// The step that the entry is of, when it is the beginning or the end of one.
    var step: String? {
        switch self {
        case .began(let step, _, _): step
        case .finished(let result): result.step
        default: nil
        }
    }

    /// One line of JSON.
    var text: String {
        get throws { String(decoding: try JSONEncoder().encode(self), as: UTF8.self) }
    }

    init(_ text: Substring) throws { self = try JSONDecoder().decode(JournalEntry.self, from: Data(text.utf8)) }
}

/// What becomes of a step that a run stands at.
package struct RunDecision: Sendable, Hashable {
    package enum Choice: String, Codable, Sendable, Hashable {
        /// The step is made again.
        case retry
        /// The step is not made, and returns a value.
        case skip
        /// The step's error is raised in the script.
        case fail
    }

    package var choice: Choice
    /// What a step that is skipped returns.
    package var value: LuaValue
    package var reason: String?
    /// Who says so.
    package var by: String

    package init(_ choice: Choice, value: LuaValue = .nil, reason: String? = nil, by: String) {
        self.choice = choice
        self.value = value
        self.reason = reason
        self.by = by
    }
}
