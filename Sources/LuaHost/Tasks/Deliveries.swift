internal import CLuaShim

/// What has arrived from outside and waits for its turn.
///
/// It belongs to one ``LuaState``, whose executor is the only thread to touch it.
final class Deliveries {
    enum Event {
        /// The outcome of a call, and the call to be made again; without one the host has been asked about its error.
        case outcome(Result<[LuaValue], LuaError>, of: CallContext, to: Int, retry: HostBridge.HostCall?)
        case sleep(Result<[LuaValue], LuaError>, of: CallContext, to: Int)
        case timeLimit(ScopeRecord, Duration)
    }

    /// A class, as events are large and handed on from place to place.
    final class Arrival {
        let id: DeliveryID
        let event: Event

        init(id: DeliveryID, event: Event) {
            self.id = id
            self.event = event
        }
    }

    enum Turn {
        case none
        case next(Arrival)
        /// What has to come next cannot come any more.
        case diverged(from: DeliveryID)
    }

    let order: (any DeliveryOrder)?
    private(set) var count = 0
    private var arrived: [Arrival?] = []
    private var head = 0
    private var places: [DeliveryID: Int] = [:]
    /// Waits that something from outside will end; kept only where an order asks for them.
    private var awaited: Set<DeliveryID> = []

    init(_ order: (any DeliveryOrder)?) { self.order = order }

    func reset() {
        arrived = []
        head = 0
        places = [:]
        awaited = []
    }

    func await(_ id: DeliveryID) { if order != nil { awaited.insert(id) } }
    func forget(_ id: DeliveryID) { if order != nil { awaited.remove(id) } }

    func add(_ arrival: Arrival) {
        if order != nil { places[arrival.id] = arrived.count }
        arrived.append(arrival)
    }

    /// Takes what is to be delivered next, if that has arrived.
    ///
    /// - Parameter anyhow: takes another when the one that has to be next cannot come.
    func take(anyhow: Bool) -> Turn {
        while head < arrived.count, arrived[head] == nil { head += 1 }
        guard head < arrived.count else {
            arrived.removeAll(keepingCapacity: true)
            head = 0
            return .none
        }
        guard let expected = order?.next() else { return take(at: head) }
        if let place = places[expected] { return take(at: place) }
        if awaited.contains(expected) { return .none }
        return anyhow ? take(at: head) : .diverged(from: expected)
    }

    private func take(at place: Int) -> Turn {
        guard let arrival = arrived[place] else { return .none }
        arrived[place] = nil
        if order != nil { places[arrival.id] = nil }
        return .next(arrival)
    }

    /// Tells of a delivery that is about to take effect.
    func tell(_ id: DeliveryID, _ kind: Delivery.Kind, _ function: String) {
        count += 1
        guard let order else { return }
        awaited.remove(id)
        order.deliver(Delivery(id, kind, function: function, sequence: count))
    }

    /// What the waits are that may still be delivered, for messages.
    var open: [DeliveryID] { awaited.sorted { ($0.task, $0.ordinal) < ($1.task, $1.ordinal) } }
}

/// The one place through which every wait ends.
///
///     host function ended ─┐
///     timer went off ──────┼─> arrive ─> turn ─┐
///     host was asked ──────┘                   ├─> deliver ─> ready ─> the task runs
///     scope, branch, module: follow at once ───┘
extension LuaState {
    func arrive(_ id: DeliveryID, _ event: Deliveries.Event) {
        scheduler.deliveries.add(.init(id: id, event: event))
        pump()
    }

    /// Delivers what has its turn, and returns whether anything had.
    func deliverNext() -> Bool {
        switch scheduler.deliveries.take(anyhow: scheduler.isEnding) {
        case .none: return false
        case .next(let arrival): takeEffect(arrival)
        case .diverged(let expected): diverge(from: expected)
        }
        return true
    }

    private func takeEffect(_ arrival: Deliveries.Arrival) {
        switch arrival.event {
        case .outcome(let outcome, let context, let id, let call):
            guard let task = scheduler.tasks[id] else { return }
            if case .failure(let error) = outcome, let call, vm.bridge.configuration.onUncaught != nil,
                !scheduler.isEnding, task.holdsErrors(guarded: task.isGuarded)
            {
                return hold(error, of: context, in: task, isSynchronous: false) { [self] in
                    start(call, of: task)
                    return nil
                }
            }
            deliver(answer(outcome, of: context, to: task), arrival.id, .result, context.function)
        case .sleep(let outcome, let context, let id):
            guard let task = scheduler.tasks[id] else { return }
            deliver(answer(outcome, of: context, to: task), arrival.id, .timer, context.function)
        case .timeLimit(let scope, let duration):
            timeLimitReached(scope, duration)
        }
    }

    /// Lets a task go on whose wait is over.
    func deliver(_ step: Scheduler.Step, _ id: DeliveryID, _ kind: Delivery.Kind, _ function: String) {
        let isCancelled = step.task.isCancelled && (kind == .result || kind == .timer)
        scheduler.deliveries.tell(id, isCancelled ? .cancellation : kind, function)
        vm.bridge.busy.end(id)
        step.task.wait = .none
        scheduler.ready.append(step)
    }

    /// Lets a task go on whose wait was no call of its own.
    func wake(_ task: TaskRecord, _ kind: Delivery.Kind, _ function: String) {
        let id = DeliveryID(task: task.path, ordinal: Int(clua_task_calls(task.pointer)))
        deliver(.init(task: task), id, kind, function)
    }

    func answer(
        _ outcome: Result<[LuaValue], LuaError>, of context: CallContext, to task: TaskRecord
    ) -> Scheduler.Step {
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
        return step
    }

    /// Ends a run that cannot have the order it is to have.
    private func diverge(from expected: DeliveryID) {
        let open = scheduler.deliveries.open.prefix(5).map(\.description).joined(separator: ", ")
        scheduler.verdict = LuaError(
            "diverged",
            "the run has left the path to be repeated: \(expected) has to go on next, but what waits is \(open)",
            hint: "repeat it with the same script, the same arguments and the same results of host functions")
        cancelAll()
    }
}
