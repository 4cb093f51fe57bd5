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

    /// Timers of one instant go off in the order of their tasks, not in the order in which the clock's callers happen to
    /// be resumed: the same script then takes the same path every time.
    static func precedes(_ a: LuaTimer, _ b: LuaTimer) -> Bool {
        if a.deadline != b.deadline { return a.deadline < b.deadline }
        return a.path == b.path ? a.ordinal < b.ordinal : a.path < b.path
    }
}

extension LuaState {
    /// Starts a timer and returns its id.
    func startTimer(_ duration: Duration, _ path: TaskPath, _ ordinal: Int, _ action: LuaTimer.Action) -> Int {
        let clock = vm.bridge.configuration.clock
        let id = scheduler.makeID()
        var timer = LuaTimer(id: id, deadline: clock.now + duration, path: path, ordinal: ordinal, action: action)
        timer.handle = Task.detached(executorPreference: vm.bridge.configuration.hostExecutor) {
            let isOver = (try? await clock.sleep(for: duration)) != nil
            await self.timerEnded(id, isOver: isOver)
        }
        scheduler.insert(timer)
        scheduler.deliveries.await(timer.wait)
        return id
    }

    /// Lets go of a timer that nobody waits for any more.
    func dropTimer(_ id: Int) {
        guard let timer = scheduler.remove(timer: id) else { return }
        scheduler.deliveries.forget(timer.wait)
        timer.handle?.cancel()
    }

    /// Ends a sleep early: at once, so that tasks cancelled together end in the order in which they were cancelled.
    func cancelTimer(_ id: Int) {
        guard let timer = scheduler.remove(timer: id) else { return }
        timer.handle?.cancel()
        goOff(timer, LuaError(.cancelled, "cancelled"))
    }

    /// One timer is over, or its clock gave up: all those that are due by now go off with it.
    private func timerEnded(_ id: Int, isOver: Bool) {
        guard let index = scheduler.timers.firstIndex(where: { $0.id == id }) else { return }
        if isOver {
            let now = max(vm.bridge.configuration.clock.now, scheduler.timers[index].deadline)
            let due = scheduler.timers.prefix { $0.deadline <= now }
            scheduler.timers.removeFirst(due.count)
            for timer in due { goOff(timer, nil) }
        } else {
            goOff(scheduler.timers.remove(at: index), LuaError(.cancelled, "cancelled"))
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
