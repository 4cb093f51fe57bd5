import LuaHost
import RecoveryEngine
import SiteModel

/// One call of a script, as the journal knows it.
struct StepCall: Sendable {
    /// Task and ordinal ("0.2#3").
    let step: String
    /// The function's public name.
    let function: String
    /// Digest of the arguments.
    let arguments: String
    let isEffect: Bool
    let repetition: Repetition
    let position: SourcePosition?

    init(_ context: CallContext, _ values: [LuaValue], _ effect: Effect, _ repetition: Repetition) throws {
        step = DeliveryID(task: context.task, ordinal: context.ordinal).description
        function = context.function
        arguments = try Self.digest(of: values)
        isEffect = (effect == .changes || effect == .cannotBeUndone) && repetition != .wait
        self.repetition = repetition
        position = context.where
    }

    /// A digest of arguments: SHA-256 over their journal's form, its first 32 digits.
    private static func digest(of values: [LuaValue]) throws -> String {
        String(SHA256.hexadecimal(of: try JournalValue(.list(values)).text.utf8).prefix(32))
    }

    func result(_ outcome: Result<[LuaValue], any Error>, _ notes: [StepNote]) -> JournalEntry.StepResult {
        var result = JournalEntry.StepResult(step: step, function: function, arguments: arguments)
        switch outcome {
        case .success(let values): result.values = values.map(JournalValue.init)
        case .failure(let error):
            var error = ErrorConversion.luaError(error, about: nil)
            error.where = error.where ?? position
            result.error = JournalError(error)
        }
        result.notes = notes.isEmpty ? nil : notes
        return result
    }

    func pause(_ cause: RunPause.Cause, _ message: String, hint: String? = nil, at now: Timestamp) -> RunPause {
        RunPause(
            cause, step: step, function: function, position: position.map { "\($0)" }, message: message,
            hint: hint ?? StepKeeper.divergenceHint, at: now)
    }

    func divergence(from recorded: JournalEntry.StepResult) -> String {
        recorded.function == function
            ? "step \(step) calls \(function) with other arguments than its journal has"
            : "step \(step) calls \(function), where its journal has \(recorded.function)"
    }
}

/// What may be done with a step that was begun and has no recorded end.
package enum Repetition: Sendable, Hashable {
    /// Made again: it looks at the world first and does only what is missing, or its job is found.
    case same
    /// Made again; that there is nothing to remove any more means that it was done.
    case removal
    /// Made again, and never waited for: it only waits, for as long as it takes, and can be cut short at any time.
    case wait
    /// A person is asked: it may have been done, and doing it twice is not the same as once.
    case unknown
}
