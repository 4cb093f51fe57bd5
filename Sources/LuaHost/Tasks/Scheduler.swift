internal import CLuaShim

/// The tasks of a state and what is to happen next; the methods that act on it are the state's own.
///
/// It is not Sendable and belongs to one ``LuaState``, whose executor is the only thread to touch it.
final class Scheduler {
    /// A task that can go on, with what it is told.
    struct Step {
        let task: TaskRecord
        var reply = CLUA_REPLY_VALUES
        var bytes: [UInt8] = []
    }

    var tasks: [Int: TaskRecord] = [:]
    var ready: [Step] = []
    var timers = TimerQueue()
    /// The scopes that are open, by the shim's number.
    var scopes: [UInt64: ScopeRecord] = [:]
    /// The tasks that load a module now, and those that wait until it is loaded.
    var loaders: [String: TaskRecord] = [:]
    var loadWaiters: [String: [Int: TaskRecord]] = [:]
    let deliveries: Deliveries
    /// What the run ends with, whatever its script makes of being ended.
    var verdict: LuaError?
    var isPumping = false
    var isEnding = false
    var finish: CheckedContinuation<Result<[LuaValue], LuaError>, Never>?
    /// Calls whose errors the host was asked about, by task.
    var held: [Int: Held] = [:]
    private var lastID = 0

    init(_ order: (any DeliveryOrder)?) { deliveries = Deliveries(order) }

    struct Held {
        let error: LuaError
        let context: CallContext
        let isSynchronous: Bool
        let retry: () -> Step?
    }

    func makeID() -> Int {
        lastID += 1
        return lastID
    }

    // MARK: waits that could go in a circle

    /// Whether a task may wait for a branch: not when that branch, or one it waits for, waits for the task.
    func canJoin(_ task: TaskRecord, _ scope: UInt64, _ index: Int) -> Bool {
        guard let scope = scopes[scope] else { return true }
        guard let target = scope.branches[index] else { return !scope.isEnded }
        return !depends(target, on: task)
    }

    /// Whether a task may wait for a module.
    func canAwait(_ task: TaskRecord, module: String) -> Bool {
        guard let loader = loaders[module] else { return true }
        return !depends(loader, on: task)
    }

    /// Whether a task cannot end before the other goes on, through whatever its branches wait for.
    private func depends(_ task: TaskRecord, on other: TaskRecord) -> Bool {
        var seen: Set<Int> = []
        var open = [task]
        while let next = open.popLast() {
            guard seen.insert(next.id).inserted else { continue }
            if other.isWithin(next) { return true }
            switch next.wait {
            case .scope(let scope): open += scope.branches.values
            case .branch(let scope, let index, _): scope.branches[index].map { open.append($0) }
            case .module(let name, _): loaders[name].map { open.append($0) }
            case .none, .host, .timer: break
            }
        }
        return false
    }
}

extension LuaState {
    func makeMainTask(_ arguments: [LuaValue], print: Bool) throws(LuaError) -> TaskRecord {
        var writer = vm.bridge.writer()
        try writer.write(arguments)
        guard let pointer = clua_task_main(vm.engine, writer.bytes, writer.bytes.count, print) else {
            throw LuaError(.memory, "the script does not fit into the memory limit")
        }
        scheduler.isEnding = false
        scheduler.verdict = nil
        scheduler.deliveries.reset()
        vm.bridge.busy.reset()
        return register(pointer, TaskPath(), scope: nil)
    }

    func register(_ pointer: OpaquePointer, _ path: TaskPath, scope: ScopeRecord?) -> TaskRecord {
        let task = TaskRecord(id: scheduler.makeID(), pointer: pointer, path: path, scope: scope)
        scheduler.tasks[task.id] = task
        return task
    }

    /// Runs every task that can go on, in the order in which they became ready, until all wait or the run is over.
    ///
    /// Each delivery from outside has had all its consequences before the next one has its turn.
    func pump() {
        guard !scheduler.isPumping else { return }
        scheduler.isPumping = true
        defer { scheduler.isPumping = false }
        repeat { runReady() } while deliverNext()
    }

    private func runReady() {
        var head = 0
        while head < scheduler.ready.count {
            let step = scheduler.ready[head]
            head += 1
            // Half of them at a time, so that each is moved once or twice, however many there are.
            if head > 256, head * 2 > scheduler.ready.count {
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
        task.isGuarded = false
        let status = vm.resume(task, step.reply, step.bytes, of: scheduler)
        let request = vm.bridge.request.take()
        if status == CLUA_WAITING {
            switch request {
            case .call(let call): start(call, of: task)
            case .sleep(let context, let duration):
                task.wait = .timer(startTimer(duration, task.path, context.ordinal, .wake(task, context)))
            case .held(let error, let context):
                hold(error, of: context, in: task, isSynchronous: true) {
                    .init(task: task, reply: CLUA_REPLY_RETRY)
                }
            case .scope(let call): open(call, of: task)
            case .join(let id, let index): join(id, index, task)
            case .module(let name):
                let number = scheduler.makeID()
                task.wait = .module(name, waiter: number)
                scheduler.loadWaiters[name, default: [:]][number] = task
            case nil: preconditionFailure("a Lua task waits for nothing")
            }
        } else {
            end(task, status)
        }
        startSpawned()
        if clua_aborted(vm.engine) != CLUA_ABORT_NONE, !scheduler.isEnding { cancelAll() }
    }

    /// What the task left to do while it ran: branches to start, and others that waited for a module it has loaded.
    private func startSpawned() {
        if !vm.bridge.spawned.isEmpty {
            let scopes = vm.bridge.spawned
            vm.bridge.spawned = []
            vm.bridge.unstarted = 0
            for scope in scopes {
                scope.hasSpawned = false
                fill(scope)
            }
        }
        while !vm.bridge.loaded.isEmpty {
            let name = vm.bridge.loaded.removeFirst()
            let waiters = scheduler.loadWaiters.removeValue(forKey: name) ?? [:]
            for number in waiters.keys.sorted() { waiters[number].map { wake($0, .module, "require") } }
        }
    }

    // MARK: the end of a task

    private func end(_ task: TaskRecord, _ status: CLuaStatus) {
        if !scheduler.loaders.isEmpty {
            // Modules that it began to load and gave up, in an order that is the same in every run.
            let names = scheduler.loaders.filter { $0.value === task }.keys.sorted()
            for name in names { scheduler.loaders[name] = nil }
            vm.bridge.loaded += names
        }
        if let scope = task.scope {
            free(task)
            branchEnded(task, of: scope, status)
            return
        }
        let outcome: Result<[LuaValue], LuaError> =
            if let verdict = scheduler.verdict {
                .failure(verdict)
            } else if status != CLUA_OK {
                .failure(vm.error(after: status))
            } else {
                .success(vm.output { $0.readAll() })
            }
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
    func cancel(_ task: TaskRecord) {
        guard !task.isCancelled else { return }
        task.isCancelled = true
        clua_task_cancel(task.pointer)
        switch task.wait {
        case .none: break
        case .host(let handle, _): handle.cancel()
        case .timer(let id): cancelTimer(id)
        case .scope(let scope):
            close(scope)
            finishIfEnded(scope)
        case .branch(let scope, let index, let joiner):
            scope.removeJoiner(joiner, of: index)
            wake(task, .branch, "task:wait")
        case .module(let name, let waiter):
            scheduler.loadWaiters[name]?[waiter] = nil
            wake(task, .module, "require")
        }
    }

    /// Cancels every task: the run is being ended.
    func cancelAll() {
        if !scheduler.isEnding {
            scheduler.deliveries.tell(DeliveryID(task: TaskPath(), ordinal: 0), .ending, "")
        }
        scheduler.isEnding = true
        for id in scheduler.tasks.keys.sorted() { scheduler.tasks[id].map(cancel) }
        pump()
    }
}
