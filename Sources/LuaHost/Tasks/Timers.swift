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
        return id
    }

    /// Lets go of a timer that nobody waits for any more.
    func dropTimer(_ id: Int) { scheduler.remove(timer: id)?.handle?.cancel() }

    /// One timer is over, or was cancelled: all those that are due by now go off with it.
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
            finish(error.map { .failure($0) } ?? .success([]), of: context, to: task)
        case .timeLimit(let scope, let duration):
            if error == nil { timeLimitReached(scope, duration) }
        }
    }
}
