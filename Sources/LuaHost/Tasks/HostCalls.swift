internal import CLuaShim

/// Host functions that wait, and how their results come back.
extension LuaState {
    func start(_ call: HostBridge.HostCall, of task: TaskRecord) {
        let id = task.id
        // Begins on this actor and ends on it: the body alone runs elsewhere, so a wait costs one way there and one back.
        let handle = Task.immediate(executorPreference: vm.bridge.configuration.hostExecutor ?? HostThreads.shared) {
            let outcome: Result<[LuaValue], LuaError>
            do {
                outcome = .success(try await call.body(call.context, call.arguments))
            } catch {
                outcome = .failure(LuaError(wrapping: error))
            }
            self.deliver(outcome, of: call, to: id)
        }
        task.wait = .host(handle, function: call.context.function)
        if task.isCancelled || scheduler.isEnding { handle.cancel() }
    }

    private func deliver(_ outcome: Result<[LuaValue], LuaError>, of call: HostBridge.HostCall, to id: Int) {
        guard let task = scheduler.tasks[id] else { return }
        if case .failure(let error) = outcome, vm.bridge.configuration.onUncaught != nil, !scheduler.isEnding,
            task.holdsErrors(guarded: task.isGuarded)
        {
            hold(error, of: call.context, in: task) { [self] in
                start(call, of: task)
                return nil
            }
            return
        }
        finish(outcome, of: call.context, to: task)
        pump()
    }

    /// The one place through which every finished wait comes, in the order in which tasks will see them.
    func finish(_ outcome: Result<[LuaValue], LuaError>, of context: CallContext, to task: TaskRecord) {
        scheduler.deliveries += 1
        vm.bridge.configuration.onDelivery?(
            Delivery(
                task: context.task, ordinal: context.ordinal, function: context.function,
                sequence: scheduler.deliveries))
        task.wait = .none
        var step = Scheduler.Step(task: task)
        do {
            var writer = vm.bridge.writer()
            try writer.write(outcome.get())
            step.bytes = writer.bytes
        } catch {
            var error = LuaError(wrapping: error)
            error.where = error.where ?? context.where
            step.reply = CLUA_REPLY_ERROR
            var writer = vm.bridge.writer()
            writer.write(error)
            step.bytes = writer.bytes
        }
        scheduler.ready.append(step)
    }

    // MARK: errors that nothing would catch

    /// Asks the host what to do, with the call still open.
    ///
    /// - Parameter retry: makes the call again, at once or by the step it returns.
    func hold(
        _ error: LuaError, of context: CallContext, in task: TaskRecord, retry: @escaping () -> Scheduler.Step?
    ) {
        guard let ask = vm.bridge.configuration.onUncaught else { return }
        var shown = error
        shown.where = error.where ?? context.where
        let (id, question) = (task.id, shown)
        scheduler.held[id] = Scheduler.Held(error: error, context: context, retry: retry)
        let handle = Task.detached(executorPreference: vm.bridge.configuration.hostExecutor) {
            let answer = await ask(question)
            await self.resolve(answer, id)
        }
        task.wait = .host(handle, function: context.function)
    }

    private func resolve(_ answer: Resolution, _ id: Int) {
        guard let task = scheduler.tasks[id], let held = scheduler.held.removeValue(forKey: id) else { return }
        task.wait = .none
        switch answer {
        case .retry where !task.isCancelled:
            if let step = held.retry() { scheduler.ready.append(step) }
        case .value(let value): finish(.success([value]), of: held.context, to: task)
        case .fail, .retry: finish(.failure(held.error), of: held.context, to: task)
        }
        pump()
    }
}
