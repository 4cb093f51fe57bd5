internal import CLuaShim

/// Host functions that wait, and how their results come back.
extension LuaState {
    func start(_ call: HostBridge.HostCall, of task: TaskRecord) {
        let id = task.id
        let wait = DeliveryID(call.context)
        scheduler.deliveries.await(wait)
        // Begins on this actor and ends on it. The body runs where the configuration says, by default on the thread of Lua
        // while that has nothing else to do: then what answers it wakes one thread.
        let handle = Task.immediate(executorPreference: bodyExecutor) {
            let outcome: Result<[LuaValue], LuaError>
            do {
                outcome = .success(try await call.body(call.context, call.arguments))
            } catch {
                outcome = .failure(LuaError(wrapping: error))
            }
            self.arrive(wait, .outcome(outcome, of: call.context, to: id, retry: call))
        }
        task.wait = .host(handle, function: call.context.function)
        if task.isCancelled || scheduler.isEnding { handle.cancel() }
    }

    // MARK: errors that nothing would catch

    /// Asks the host what to do, with the call still open.
    ///
    /// - Parameter retry: makes the call again, at once or by the step it returns.
    func hold(
        _ error: LuaError, of context: CallContext, in task: TaskRecord, isSynchronous: Bool,
        retry: @escaping () -> Scheduler.Step?
    ) {
        guard let ask = vm.bridge.configuration.onUncaught else { return }
        var shown = error
        shown.where = error.where ?? context.where
        let (id, question) = (task.id, shown)
        scheduler.held[id] = Scheduler.Held(
            error: error, context: context, isSynchronous: isSynchronous, retry: retry)
        if !isSynchronous { scheduler.deliveries.await(DeliveryID(context)) }
        let handle = Task.detached(executorPreference: vm.bridge.configuration.hostExecutor) {
            let answer = await ask(question)
            await self.resolve(answer, id)
        }
        task.wait = .host(handle, function: context.function)
    }

    private func resolve(_ answer: Resolution, _ id: Int) {
        guard let task = scheduler.tasks[id], let held = scheduler.held.removeValue(forKey: id) else { return }
        let outcome: Result<[LuaValue], LuaError>
        let wait = DeliveryID(held.context)
        switch answer {
        case .retry where !task.isCancelled:
            task.wait = .none
            scheduler.deliveries.forget(wait)
            if let step = held.retry() { scheduler.ready.append(step) }
            return pump()
        case .value(let value): outcome = .success([value])
        case .fail, .retry: outcome = .failure(held.error)
        }
        if held.isSynchronous {
            // It has no turn: when a run is repeated the call may well succeed at once.
            deliver(self.answer(outcome, of: held.context, to: task), wait, .resolution, held.context.function)
            pump()
        } else {
            arrive(wait, .outcome(outcome, of: held.context, to: id, retry: nil))
        }
    }
}

extension DeliveryID {
    init(_ context: CallContext) { self.init(task: context.task, ordinal: context.ordinal) }
}
