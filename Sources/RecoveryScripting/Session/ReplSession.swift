package import LuaHost
package import RecoveryEngine

/// An interactive session: one Lua state whose globals live from entry to entry, recorded as one run.
package actor ReplSession {
    /// What one entry came to.
    package enum Answer: Sendable {
        /// One text a result, as it prints.
        case printed([String])
        /// The entry goes on: give it again with the next line added.
        case incomplete
        case failed(LuaError)
    }

    private let state: LuaState
    private let record: RunRecord
    private let context: ScriptContext
    private let globals: SessionGlobals

    private init(state: LuaState, record: RunRecord, context: ScriptContext, globals: SessionGlobals) {
        self.state = state
        self.record = record
        self.context = context
        self.globals = globals
    }

    /// Starts a session, whose printed lines go to `output`.
    package static func start(
        engine: RecoveryEngine, options: ScriptOptions, output: @escaping @Sendable (String) -> Void
    ) async throws -> ReplSession {
        let record = try await RunRecord.begin(script: "repl", text: "", in: engine)
        let context = ScriptContext(engine: engine, run: record.id, options: options)
        let state = try LuaState(ScriptEnvironment.configuration(context, options, output: output))
        return ReplSession(
            state: state, record: record, context: context, globals: try await SessionGlobals(of: state))
    }

    /// Evaluates one entry: an expression, or statements.
    package func evaluate(_ entry: String) async throws -> Answer {
        switch await state.evaluate(entry, chunk: "repl") {
        case .incomplete:
            return .incomplete
        case .finished(_, let printed):
            try await record.append(entry)
            return .printed(printed)
        case .failed(let error):
            try await record.append(entry)
            return .failed(ErrorHints.explained(error, context.options.limits))
        }
    }

    /// What may follow a piece of an entry that ends at the cursor; to be asked between two entries.
    ///
    /// Globals and the vault's names are looked at; nothing of the script's runs and no host is asked.
    package func completion(after piece: String) async -> Completion {
        guard piece.utf8.count <= 100_000 else { return Completion() }
        let scope = CompletionScope(
            globals: await globals.shapes(root: Completion.root(of: piece)), names: await context.vaultNames())
        return Completion.after(piece, in: scope)
    }

    /// Ends what is being evaluated, as Ctrl-C asks; an operation that it waited for goes on.
    package nonisolated func interrupt() { state.cancel() }

    /// Waits for operations under way and records the end of the session.
    package func end() async throws {
        await context.operations.drain()
        await context.end()
        try await record.end(nil)
    }
}
