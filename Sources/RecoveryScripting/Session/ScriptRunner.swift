package import LuaHost
package import RecoveryEngine
import SiteModel

/// Runs scripts over an engine, each as a run that the vault records.
package struct ScriptRunner: Sendable {
    let engine: RecoveryEngine
    let options: ScriptOptions

    package init(engine: RecoveryEngine, options: ScriptOptions) {
        self.engine = engine
        self.options = options
    }

    /// Runs one script to its end, and returns how it ended; an error of the script is an outcome, not a throw.
    ///
    /// Operations that the script no longer waited for are driven to their end before this returns, unless the Swift
    /// task is cancelled: then the next engine takes them up.
    ///
    /// - Parameters:
    ///   - text: Lua source text; bytecode is refused.
    ///   - name: what positions in errors show, usually the script's path.
    ///   - arguments: what the script receives as `...`.
    ///   - output: takes each printed line, without its end.
    /// - Throws: `VaultError` when the run cannot be recorded.
    package func run(
        text: String, name: String, arguments: [String] = [], output: @escaping @Sendable (String) -> Void
    ) async throws -> RunOutcome {
        let started = engine.dependencies.clock.now
        let record = try await RunRecord.begin(script: name, text: text, in: engine)
        let context = ScriptContext(engine: engine, run: record.id, options: options)
        var outcome = RunOutcome(id: record.id)
        do {
            let state = try LuaState(ScriptEnvironment.configuration(context, options, output: output))
            outcome.values = try await state.run(text, chunk: name, arguments: arguments.map { LuaValue($0) })
        } catch {
            outcome.error = ErrorHints.explained(ErrorConversion.luaError(error, about: nil), options.limits)
        }
        if !Task.isCancelled { await context.operations.drain() }
        // In a task of its own: what a run that was cancelled has left to its end is ended, and its end recorded, as
        // well.
        try await Task(executorPreference: engine.dependencies.executor) { [error = outcome.error] in
            await context.end()
            try await record.end(error)
        }.value
        outcome.seconds = engine.dependencies.clock.now.seconds(since: started)
        return outcome
    }
}

/// How a run ended.
package struct RunOutcome: Sendable {
    /// Id of the run in the vault.
    package let id: String
    /// What the script returned.
    package var values: [LuaValue] = []
    /// What ended it early; nil when it ran to its end.
    package var error: LuaError?
    /// How long it took.
    package var seconds = 0.0

    package var succeeded: Bool { error == nil }

    init(id: String) { self.id = id }
}
