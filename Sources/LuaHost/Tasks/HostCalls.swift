internal import CLuaShim

/// Host functions that wait, and how their results come back.
extension LuaState {
    func start(_ call: HostBridge.HostCall, of task: TaskRecord) {
        let id = task.id
        let wait = DeliveryID(call.context)
        scheduler.deliveries.await(wait)
        let handle =
            if let executor = vm.bridge.configuration.hostExecutor {
                // Begins on this actor and ends on it: the body alone runs elsewhere.
                Task.immediate(executorPreference: executor) {
                    let outcome = await call.outcome()
                    self.arrive(wait, .outcome(outcome, of: call.context, to: id, retry: call))
                }
            } else {
                begin(call, id, wait)
            }
        task.wait = .host(handle, function: call.context.function)
        if task.isCancelled || scheduler.isEnding { handle.cancel() }
    }

    /// Runs the body on the thread of Lua: at once until its first wait, afterwards between the turns of this actor.
    ///
    /// It begins outside of the actor, so that the body needs no turn of the queue to start.
    private nonisolated func begin(_ call: HostBridge.HostCall, _ id: Int, _ wait: DeliveryID) -> Task<Void, Never> {
        Task.immediate(executorPreference: bodyExecutor) {
            let outcome = await call.outcome()
            await self.arrive(wait, .outcome(outcome, of: call.context, to: id, retry: call))
        }
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
            let answer = await Serving.during(context) { await ask(question, context) }
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
