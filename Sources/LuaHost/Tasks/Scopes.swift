internal import CLuaShim

/// Scopes: branches are started, counted and cancelled here; their functions and results stay in Lua.
extension LuaState {
    func open(_ call: HostBridge.ScopeCall, of task: TaskRecord) {
        task.scopes += 1
        let scope = ScopeRecord(call, number: task.scopes, parent: task)
        scheduler.scopes[scope.id] = scope
        task.wait = .scope(scope)
        if let duration = call.duration {
            scope.timer = startTimer(duration, task.path, scope.ordinal, .timeLimit(scope, duration))
        }
        fill(scope)
    }

    /// Starts as many branches as may run.
    func fill(_ scope: ScopeRecord) {
        while scope.wantsBranch {
            let index = scope.next
            scope.next += 1
            // There was room when it was opened, but with a limit others may have taken it since.
            guard scheduler.tasks.count < vm.bridge.configuration.limits.tasks else {
                scope.failure = vm.bridge.tooManyTasks(
                    scope.function, hint: "give each task.map a lower limit", at: scope.position)
                close(scope)
                break
            }
            guard let pointer = clua_task_branch(vm.engine, scope.id, UInt32(index)) else {
                scope.failure = LuaError(
                    .memory, "\(scope.function): a task does not fit into the memory limit",
                    hint: "run fewer at once: give task.map a limit", where: scope.position)
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

    func close(_ scope: ScopeRecord) {
        guard !scope.isClosing else { return }
        scope.isClosing = true
        for index in scope.branches.keys.sorted() { scope.branches[index].map(cancel) }
    }

    func finishIfEnded(_ scope: ScopeRecord) {
        guard scope.isEnded, case .scope(let waiting) = scope.parent.wait, waiting === scope else { return }
        if let timer = scope.timer { dropTimer(timer) }
        for joiner in scope.takeJoiners() { wake(joiner, .branch, "task:wait") }
        scheduler.scopes[scope.id] = nil
        var step = Scheduler.Step(task: scope.parent, reply: CLUA_REPLY_SCOPE)
        if let error = scope.failure {
            var writer = vm.bridge.writer()
            writer.write(error)
            step.reply = CLUA_REPLY_ERROR
            step.bytes = writer.bytes
        }
        let id = DeliveryID(task: scope.parent.path, ordinal: scope.ordinal)
        deliver(step, id, .scope, scope.function)
    }

    func timeLimitReached(_ scope: ScopeRecord, _ duration: Duration) {
        // One that has ended may have outlived its parent, which alone keeps it.
        guard scheduler.scopes[scope.id] === scope else { return }
        let task = scope.parent
        guard case .scope(let waiting) = task.wait, waiting === scope, !scope.isClosing else { return }
        let id = DeliveryID(task: task.path, ordinal: scope.ordinal)
        scheduler.deliveries.tell(id, .timeLimit, scope.function)
        scope.failure = LuaError(.timeout, "not done within \(duration / .seconds(1)) s")
        close(scope)
        finishIfEnded(scope)
    }

    func branchEnded(_ task: TaskRecord, of scope: ScopeRecord, _ status: CLuaStatus) {
        let index = task.path.components.last ?? 0
        scope.branches[index] = nil
        for joiner in scope.takeJoiners(of: index) { wake(joiner, .branch, "task:wait") }
        let endsScope = scope.mode == CLUA_SCOPE_RACE || scope.mode == CLUA_SCOPE_TIMEOUT
        guard status != CLUA_OK || endsScope else { return fill(scope) }
        if status == CLUA_NO_MEMORY, scope.failure == nil {
            scope.failure = LuaError(.memory, "the results of a branch do not fit into the memory limit")
        }
        close(scope)
        finishIfEnded(scope)
    }

    /// Has a task wait until a branch has ended.
    func join(_ id: UInt64, _ index: Int, _ task: TaskRecord) {
        guard let scope = scheduler.scopes[id], !scope.isEnded, !scope.isClosing || scope.branches[index] != nil else {
            wake(task, .branch, "task:wait")
            return
        }
        task.wait = .branch(scope, index: index, joiner: scope.addJoiner(task, of: index))
    }
}
