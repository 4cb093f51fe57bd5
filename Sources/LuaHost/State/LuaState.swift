internal import CLuaShim

/// One Lua state: the environment of one run, on a thread of its own.
///
/// Make one for each run and let it go afterwards. An interactive session keeps one for its whole life and calls
/// ``evaluate(_:chunk:)`` for each entry. Calls wait for each other's turn; a host function that calls its own state and
/// waits for that gets an error, as it would wait for itself.
///
///     let state = try LuaState(configuration)
///     let results = try await state.run("return 6 * 7", chunk: "answer.lua")
public actor LuaState {
    /// Keeps the executor alive; Lua runs nowhere else.
    private nonisolated let executor: any SerialExecutor
    /// Where asynchronous host functions go on after their waits, unless the configuration names another place; nil for
    /// Swift's own threads.
    nonisolated let bodyExecutor: (any TaskExecutor)?
    private nonisolated let cancelFlag: CancelFlag
    let vm: LuaVM
    let scheduler: Scheduler
    private var isBusy = false
    private var turns: [CheckedContinuation<Void, Never>] = []

    /// The executor that runs Lua.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Makes a state that is ready to run.
    ///
    /// - Throws: ``LuaError`` of kind `memory` when the limit is too small for the libraries themselves.
    public init(_ configuration: LuaConfiguration = LuaConfiguration()) throws(LuaError) {
        try configuration.checkGrants()
        let executor = configuration.executor ?? LuaThread()
        self.executor = executor
        bodyExecutor = executor as? any TaskExecutor
        let flag = CancelFlag()
        cancelFlag = flag
        vm = try LuaVM(configuration, cancelFlag: flag)
        scheduler = Scheduler(configuration.deliveryOrder)
    }

    /// Runs a script to its end, with all its tasks.
    ///
    /// - Parameters:
    ///   - source: Lua text; bytecode is refused.
    ///   - chunk: the name that positions show, usually the path.
    ///   - arguments: what the script receives as `...`.
    /// - Returns: what the script returns.
    /// - Throws: ``LuaError`` with position and traceback. Cancelling the Swift task that waits cancels the run.
    public func run(_ source: String, chunk: String, arguments: [LuaValue] = []) async throws(LuaError) -> [LuaValue] {
        try await takeTurn()
        defer { endTurn() }
        try load(source, chunk: chunk)
        return try await runLoaded(arguments, print: false)
    }

    /// Evaluates one entry of an interactive session: an expression, or statements; globals persist.
    ///
    /// Budgets count anew for each entry, and an entry that was ended for using them up leaves the session usable.
    public func evaluate(_ source: String, chunk: String = "repl") async -> Evaluation {
        do { try await takeTurn() } catch { return .failed(error) }
        defer { endTurn() }
        do {
            let asExpression = vm.load(source, chunk: chunk, expression: true)
            if asExpression != CLUA_OK {
                let asStatements = vm.load(source, chunk: chunk)
                if asStatements == CLUA_INCOMPLETE { return .incomplete }
                if asStatements != CLUA_OK {
                    return asExpression == CLUA_INCOMPLETE
                        ? .incomplete : .failed(vm.error(after: asStatements, kind: .syntax))
                }
            }
            let flat = try await runLoaded([], print: true)
            let values = stride(from: 0, to: flat.count - 1, by: 2).map { flat[$0] }
            let printed = stride(from: 1, to: flat.count, by: 2).map { flat[$0].lossyText }
            return .finished(values: values, printed: printed)
        } catch {
            return .failed(LuaError(wrapping: error))
        }
    }

    /// Checks that a text is Lua without running it.
    ///
    /// - Throws: ``LuaError`` of kind `syntax`, with position.
    public func check(_ source: String, chunk: String) async throws(LuaError) {
        try await takeTurn()
        defer { endTurn() }
        try load(source, chunk: chunk)
    }

    /// Ends what is running with kind `cancelled`: waits are cancelled and awaited, Lua stops at its next instruction.
    public nonisolated func cancel() {
        cancelFlag.isSet = true
        Task(executorPreference: bodyExecutor) { await self.interrupt() }
    }

    /// What the state has used since the last run or evaluation began.
    public var usage: LuaUsage {
        let usage = clua_usage(vm.engine)
        return LuaUsage(
            fuel: usage.fuel, luaTime: .nanoseconds(usage.time_nanoseconds), memory: usage.memory,
            tasks: scheduler.tasks.count)
    }

    // MARK: turns

    /// Waits until nothing else runs here, unless that is what the caller is to answer.
    private func takeTurn() async throws(LuaError) {
        if isBusy, let function = Serving.function(of: vm.bridge.shared) {
            throw LuaError(
                .host, "\(function): its state is busy with the run that waits for it, so it would wait for itself",
                hint: "use a LuaState of its own, or ask in a detached task that the function does not wait for")
        }
        if isBusy { await withCheckedContinuation { turns.append($0) } }
        isBusy = true
    }

    /// Hands the turn on without a gap, so that a newcomer cannot slip in.
    private func endTurn() {
        if turns.isEmpty { isBusy = false } else { turns.removeFirst().resume() }
    }

    // MARK: one run

    private func load(_ source: String, chunk: String) throws(LuaError) {
        let status = vm.load(source, chunk: chunk)
        if status != CLUA_OK { throw vm.error(after: status, kind: .syntax) }
    }

    private func runLoaded(_ arguments: [LuaValue], print: Bool) async throws(LuaError) -> [LuaValue] {
        clua_budget_reset(vm.engine)
        cancelFlag.isSet = false
        if Task.isCancelled { throw LuaError(.cancelled, "cancelled") }
        let main = try makeMainTask(arguments, print: print)
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                scheduler.finish = continuation
                scheduler.ready.append(.init(task: main))
                pump()
            }
        } onCancel: {
            cancel()
        }
        return try outcome.get()
    }

    /// Cancels the waits of a run whose flag is set; the flag may since have been cleared by the next run, and where
    /// nothing runs there is nothing to end.
    private func interrupt() {
        if cancelFlag.isSet, scheduler.finish != nil { cancelAll() }
    }
}

/// Figures of a state.
public struct LuaUsage: Hashable, Sendable {
    /// Lua instructions, rounded down to thousands.
    public let fuel: UInt64
    /// Time spent running Lua; waits are not counted.
    public let luaTime: Duration
    /// Bytes held now.
    public let memory: Int
    /// Lua tasks alive now.
    public let tasks: Int
}
