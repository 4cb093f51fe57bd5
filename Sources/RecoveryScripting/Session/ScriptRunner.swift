package import LuaHost
package import RecoveryEngine
package import SiteModel
import VaultStore

/// Runs scripts over an engine, each as a run that the vault records.
package struct ScriptRunner: Sendable {
    let engine: RecoveryEngine
    let options: ScriptOptions

    package init(engine: RecoveryEngine, options: ScriptOptions) {
        self.engine = engine
        self.options = options
    }

    /// Runs one script to its end, or until it stands still, and returns how that came about; an error of the script is an
    /// outcome, not a throw.
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
        let record = try await RunRecord.begin(
            script: name, text: text, setUp: options.keepsJournal ? options.setUp(arguments) : nil, in: engine)
        guard options.keepsJournal else {
            let context = ScriptContext(engine: engine, run: record.id, options: options)
            return try await drive(record, context, text, arguments, output: output)
        }
        let lease = try await RunLease.take(for: record.id, by: engine)
        return try await go(
            on: record, Recording(), after: nil, lease, text, arguments, first: [], output: output)
    }

    /// Runs what is left of a run: the journal says what was done, and the script goes on from there.
    ///
    /// - Parameters:
    ///   - last: the newest row of the journal.
    ///   - lease: the right to drive the run; it is given up when this returns or throws.
    ///   - entries: what is written before the script goes on.
    func go(
        on record: RunRecord, _ recording: Recording, after last: JournalRow?, _ lease: KeptLease, _ text: String,
        _ arguments: [String], first entries: [JournalEntry], output: @escaping @Sendable (String) -> Void
    ) async throws -> RunOutcome {
        let dependencies = engine.dependencies
        let journal = RunJournal(
            run: record.id, last: last, lease: lease, vault: engine.vault, clock: dependencies.clock)
        let keeper = StepKeeper(
            journal: journal, recording: recording, startedAt: record.startedAt, clock: dependencies.clock,
            executor: dependencies.executor, output: output)
        for entry in entries { keeper.note(entry) }
        let modules = PinnedModules(
            recording.modules, files: FileModuleResolver(searching: options.moduleFolders),
            onFirst: { keeper.note($0) })
        modules.pin(requiredBy: text)
        let context = ScriptContext(
            engine: engine, run: record.id, options: options, keeper: keeper, lease: lease)
        do {
            try await keeper.flush()
        } catch {
            await lease.drop()
            throw error
        }
        return try await drive(
            record, context, text, arguments, modules: modules, output: { keeper.print($0) })
    }

    private func drive(
        _ record: RunRecord, _ context: ScriptContext, _ text: String, _ arguments: [String],
        modules: PinnedModules? = nil, output: @escaping @Sendable (String) -> Void
    ) async throws -> RunOutcome {
        let began = engine.dependencies.clock.now
        var outcome = RunOutcome(id: record.id)
        let keeper = context.keeper
        do {
            var configuration = ScriptEnvironment.configuration(context, options, output: output)
            if let modules { configuration.resolver = modules }
            let state = try LuaState(configuration)
            keeper?.whenNoted { [weak context] in context?.show($0) }
            keeper?.whenSealed { state.cancel() }
            let values = Task(executorPreference: engine.dependencies.executor) {
                try await state.run(text, chunk: record.script, arguments: arguments.map { LuaValue($0) })
            }
            // The journal is sealed before Lua is told: what ends because of that is no result of any step.
            outcome.values = try await withTaskCancellationHandler {
                try await values.value
            } onCancel: {
                keeper?.interrupt()
                values.cancel()
            }
        } catch {
            outcome.error = ErrorHints.explained(ErrorConversion.luaError(error, about: nil), options.limits)
        }
        if !Task.isCancelled { await context.operations.drain() }
        if let failure = keeper?.failure {
            await context.lease.release()
            throw failure
        }
        try await keeper?.flush()
        if !outcome.succeeded, let pause = keeper?.pause {
            outcome.pause = pause
            outcome.error = LuaError("paused", pause.message, hint: pause.hint, rule: pause.rule)
        }
        // In a task of its own: what a run that was cancelled has left to its end is ended, and its end recorded, as
        // well.
        try await Task(executorPreference: engine.dependencies.executor) { [outcome] in
            if let pause = outcome.pause {
                try await record.stand(still: pause)
                await context.lease.release()
            } else {
                await context.cleanUp()
                try await record.end(outcome.error)
                await context.lease.release()
            }
        }.value
        outcome.seconds = engine.dependencies.clock.now.seconds(since: began)
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
    /// Why it stands still, and can be resumed; nil when it is over.
    package var pause: RunPause?
    /// How long it took, since it began or was resumed.
    package var seconds = 0.0

    package var succeeded: Bool { error == nil }

    init(id: String) { self.id = id }
}
