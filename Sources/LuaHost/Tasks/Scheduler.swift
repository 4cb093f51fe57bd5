internal import CLuaShim

/// The tasks of a state and what is to happen next; the methods that act on it are the state's own.
struct Scheduler {
    /// A task that can go on, with what it is told.
    struct Step {
        let task: TaskRecord
        var reply = CLUA_REPLY_VALUES
        var bytes: [UInt8] = []
    }

    var tasks: [Int: TaskRecord] = [:]
    var ready: [Step] = []
    var nextID = 1
    var deliveries = 0
    var isPumping = false
    var isEnding = false
    var finish: CheckedContinuation<Result<[LuaValue], LuaError>, Never>?
}

extension LuaState {
    func makeMainTask(_ arguments: [LuaValue], print: Bool) throws(LuaError) -> TaskRecord {
        var writer = vm.bridge.writer()
        try writer.write(arguments)
        guard let pointer = clua_task_main(vm.engine, writer.bytes, writer.bytes.count, print) else {
            throw LuaError(.memory, "the script does not fit into the memory limit")
        }
        scheduler.isEnding = false
        return register(pointer, TaskPath(), scope: nil)
    }

    private func register(_ pointer: OpaquePointer, _ path: TaskPath, scope: ScopeRecord?) -> TaskRecord {
        let task = TaskRecord(id: scheduler.nextID, pointer: pointer, path: path, scope: scope)
        scheduler.nextID += 1
        scheduler.tasks[task.id] = task
        return task
    }

    /// Runs every task that can go on, in the order in which they became ready, until all wait or the run is over.
    func pump() {
        guard !scheduler.isPumping else { return }
        scheduler.isPumping = true
        defer { scheduler.isPumping = false }
        var head = 0
        while head < scheduler.ready.count {
            let step = scheduler.ready[head]
            head += 1
            if head > 256 {
                scheduler.ready.removeFirst(head)
                head = 0
            }
            run(step)
        }
        scheduler.ready.removeAll(keepingCapacity: true)
    }

    private func run(_ step: Scheduler.Step) {
        let task = step.task
        task.wait = .none
        let status = vm.resume(task, step.reply, step.bytes)
        let request = vm.bridge.request
        vm.bridge.request = nil
        if status == CLUA_WAITING {
            switch request {
            case .call(let call): start(call, of: task)
            case .scope(let call): open(call, of: task)
            case nil: preconditionFailure("a Lua task waits for nothing")
            }
        } else {
            end(task, status)
        }
        if clua_aborted(vm.engine) != CLUA_ABORT_NONE, !scheduler.isEnding { cancelAll() }
    }

    // MARK: host calls

    private func start(_ call: HostBridge.HostCall, of task: TaskRecord) {
        let id = task.id
        let handle = Task.detached(executorPreference: vm.bridge.configuration.hostExecutor) {
            let outcome: Result<[LuaValue], LuaError>
            do {
                outcome = .success(try await call.body(call.context, call.arguments))
            } catch {
                outcome = .failure(LuaError(wrapping: error))
            }
            await self.deliver(outcome, of: call.context, to: id)
        }
        task.wait = .host(handle, function: call.context.function)
        if task.isCancelled || scheduler.isEnding { handle.cancel() }
    }

    /// The one place through which every finished wait comes, in the order in which tasks will see them.
    private func deliver(_ outcome: Result<[LuaValue], LuaError>, of context: CallContext, to id: Int) {
        guard let task = scheduler.tasks[id] else { return }
        scheduler.deliveries += 1
        vm.bridge.configuration.onDelivery?(
            Delivery(
                task: context.task, ordinal: context.ordinal, function: context.function,
                sequence: scheduler.deliveries))
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
        pump()
    }

    // MARK: scopes

    private func open(_ call: HostBridge.ScopeCall, of task: TaskRecord) {
        task.scopes += 1
        let scope = ScopeRecord(call, number: task.scopes, parent: task)
        task.wait = .scope(scope)
        if let duration = call.duration { startTimer(duration, of: scope) }
        fill(scope)
    }

    private func fill(_ scope: ScopeRecord) {
        while scope.wantsBranch {
            let index = scope.next
            scope.next += 1
            guard scheduler.tasks.count < vm.bridge.configuration.limits.tasks else {
                scope.timeout = LuaError(.size, "too many tasks at once", hint: "give task.map a limit")
                close(scope)
                break
            }
            guard let pointer = clua_task_branch(vm.engine, scope.id, UInt32(index)) else {
                scope.timeout = LuaError(.memory, "a task does not fit into memory", hint: "give task.map a limit")
                close(scope)
                break
            }
            let path = scope.parent.path.branch(scope: scope.number, index: index)
            let branch = register(pointer, path, scope: scope)
            scope.branches[index] = branch
            scheduler.ready.append(.init(task: branch))
        }
        finishIfEnded(scope)
    }

    private func close(_ scope: ScopeRecord) {
        guard !scope.isClosing else { return }
        scope.isClosing = true
        for index in scope.branches.keys.sorted() { scope.branches[index].map(cancel) }
    }

    private func finishIfEnded(_ scope: ScopeRecord) {
        guard scope.isEnded, case .scope(let waiting) = scope.parent.wait, waiting === scope else { return }
        scope.timer?.cancel()
        scope.parent.wait = .none
        var step = Scheduler.Step(task: scope.parent, reply: CLUA_REPLY_SCOPE)
        if let error = scope.timeout {
            var writer = vm.bridge.writer()
            writer.write(error)
            step.reply = CLUA_REPLY_ERROR
            step.bytes = writer.bytes
        }
        scheduler.ready.append(step)
    }

    private func startTimer(_ duration: Duration, of scope: ScopeRecord) {
        let clock = vm.bridge.configuration.clock
        let (parent, number) = (scope.parent.id, scope.number)
        scope.timer = Task.detached(executorPreference: vm.bridge.configuration.hostExecutor) {
            guard (try? await clock.sleep(for: duration)) != nil else { return }
            await self.timeLimitReached(parent, number, duration)
        }
    }

    private func timeLimitReached(_ parent: Int, _ number: Int, _ duration: Duration) {
        guard let task = scheduler.tasks[parent], case .scope(let scope) = task.wait, scope.number == number,
            !scope.isClosing
        else { return }
        scheduler.deliveries += 1
        vm.bridge.configuration.onDelivery?(
            Delivery(
                task: task.path, ordinal: task.ordinal, function: "task.timeout", sequence: scheduler.deliveries))
        scope.timeout = LuaError(.timeout, "not done within \(duration / .seconds(1)) s")
        close(scope)
        finishIfEnded(scope)
        pump()
    }

    // MARK: the end of a task

    private func end(_ task: TaskRecord, _ status: CLuaStatus) {
        let failed = status != CLUA_OK
        if let scope = task.scope {
            free(task)
            scope.branches[task.path.components.last ?? 0] = nil
            if failed || scope.mode == CLUA_SCOPE_RACE || scope.mode == CLUA_SCOPE_TIMEOUT {
                if status == CLUA_NO_MEMORY, scope.timeout == nil {
                    scope.timeout = LuaError(.memory, "the results of a branch do not fit into the memory limit")
                }
                close(scope)
                finishIfEnded(scope)
            } else {
                fill(scope)
            }
            return
        }
        let outcome: Result<[LuaValue], LuaError> =
            failed
            ? .failure(vm.error(after: status)) : .success(vm.output { $0.readAll() })
        free(task)
        let finish = scheduler.finish
        scheduler.finish = nil
        finish?.resume(returning: outcome)
    }

    private func free(_ task: TaskRecord) {
        scheduler.tasks[task.id] = nil
        clua_task_free(vm.engine, task.pointer)
    }

    // MARK: cancellation

    /// Cancels a task: its wait is asked to end, and no `pcall` of it catches the error that then arises.
    private func cancel(_ task: TaskRecord) {
        guard !task.isCancelled else { return }
        task.isCancelled = true
        clua_task_cancel(task.pointer)
        switch task.wait {
        case .none: break
        case .host(let handle, _): handle.cancel()
        case .scope(let scope):
            close(scope)
            finishIfEnded(scope)
        }
    }

    /// Cancels every task: the run is being ended.
    func cancelAll() {
        scheduler.isEnding = true
        for id in scheduler.tasks.keys.sorted() { scheduler.tasks[id].map(cancel) }
        pump()
    }
}
