/// Something that is due at a time: the end of a sleep, or of a scope's time limit.
struct LuaTimer {
    enum Action {
        case wake(TaskRecord, CallContext)
        case timeLimit(ScopeRecord, Duration)
    }

    let id: Int
    let deadline: Duration
    let path: TaskPath
    let ordinal: Int
    let action: Action
    var handle: Task<Void, Never>?

    var wait: DeliveryID { DeliveryID(task: path, ordinal: ordinal) }
}

extension LuaState {
    /// Starts a timer and returns its id.
    func startTimer(_ duration: Duration, _ path: TaskPath, _ ordinal: Int, _ action: LuaTimer.Action) -> Int {
        let clock = vm.bridge.configuration.clock
        let id = scheduler.makeID()
        var timer = LuaTimer(id: id, deadline: clock.now + duration, path: path, ordinal: ordinal, action: action)
        timer.handle = Task.detached(executorPreference: vm.bridge.configuration.hostExecutor) {
            [deadline = timer.deadline] in
            let isOver = (try? await clock.sleep(until: deadline)) != nil
            await self.timerEnded(id, isOver: isOver)
        }
        scheduler.timers.insert(timer)
        scheduler.deliveries.await(timer.wait)
        return id
    }

    /// Lets go of a timer that nobody waits for any more.
    func dropTimer(_ id: Int) {
        guard let timer = scheduler.timers.remove(id) else { return }
        scheduler.deliveries.forget(timer.wait)
        timer.handle?.cancel()
    }

    /// Ends a sleep early: at once, so that tasks cancelled together end in the order in which they were cancelled.
    func cancelTimer(_ id: Int) {
        guard let timer = scheduler.timers.remove(id) else { return }
        timer.handle?.cancel()
        goOff(timer, LuaError(.cancelled, "cancelled"))
    }

    /// One timer is over, or its clock gave up: all those that are due by now go off with it.
    private func timerEnded(_ id: Int, isOver: Bool) {
        guard let timer = scheduler.timers[id] else { return }
        if isOver {
            let now = max(vm.bridge.configuration.clock.now, timer.deadline)
            for timer in scheduler.timers.takeDue(by: now) { goOff(timer, nil) }
        } else if let timer = scheduler.timers.remove(id) {
            goOff(timer, LuaError(.cancelled, "cancelled"))
        }
        pump()
    }

    private func goOff(_ timer: LuaTimer, _ error: LuaError?) {
        switch timer.action {
        case .wake(let task, let context):
            let outcome: Result<[LuaValue], LuaError> = error.map { .failure($0) } ?? .success([])
            scheduler.deliveries.add(.init(id: timer.wait, event: .sleep(outcome, of: context, to: task.id)))
        case .timeLimit(let scope, let duration):
            guard error == nil else { return scheduler.deliveries.forget(timer.wait) }
            scheduler.deliveries.add(.init(id: timer.wait, event: .timeLimit(scope, duration)))
        }
    }
}
