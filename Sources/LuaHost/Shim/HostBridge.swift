internal import CLuaShim

/// The Swift end of the trampoline: finds the function that C asks for and runs it or notes that it has to wait.
///
/// It is not Sendable and belongs to one ``LuaState``, whose executor is the only thread to touch it. Its callbacks
/// return codes; no Lua error ever passes through them.
final class HostBridge {
    /// What a task asked for when it was suspended.
    enum Request {
        case call(HostCall)
        /// A call that failed where nothing would catch the error.
        case held(LuaError, CallContext)
        case sleep(CallContext, Duration)
        case join(scope: UInt64, index: Int)
        case module(String)
        case scope(ScopeCall)
    }

    /// A class, as it is handed on from place to place.
    final class HostCall: Sendable {
        let context: CallContext
        let arguments: [LuaValue]
        let body: @Sendable (CallContext, [LuaValue]) async throws -> [LuaValue]

        init(
            context: CallContext, arguments: [LuaValue],
            body: @escaping @Sendable (CallContext, [LuaValue]) async throws -> [LuaValue]
        ) {
            (self.context, self.arguments, self.body) = (context, arguments, body)
        }

        func outcome() async -> Result<[LuaValue], LuaError> {
            do {
                return .success(try await Serving.during(context) { try await self.body(self.context, self.arguments) })
            } catch {
                return .failure(LuaError(wrapping: error))
            }
        }
    }

    struct ScopeCall {
        let id: UInt64
        let mode: CLuaScopeMode
        let count: Int
        let limit: Int
        let ordinal: Int
        let duration: Duration?
        let position: SourcePosition?
    }

    let configuration: LuaConfiguration
    /// Set once the engine is open; the callbacks need it to hand over replies.
    var engine: OpaquePointer? { didSet { shared.engine = engine } }
    /// The task that runs; set by the scheduler around each resume.
    var current: TaskRecord?
    /// Filled by a callback that suspends, taken by the scheduler.
    var request: Request?
    var types: [String: UInt32] = [:]
    /// The names of the chunks loaded so far.
    var chunks: Set<String> = []
    /// Open scopes that were given branches, each once, and modules that were loaded, since the task went on.
    var spawned: [ScopeRecord] = []
    /// How many branches these were given.
    var unstarted = 0
    var loaded: [String] = []
    var busy = BusyObjects()
    /// The state's tasks; set by the scheduler around each resume.
    var scheduler: Scheduler?
    /// The function that the scheduler serves itself.
    var sleepID: Int?
    let shared: CallShared
    let strings = StringCache()
    let names = HostNames()
    private(set) var functions: [BoundFunction] = []
    private var scratch: [UInt8] = []

    init(_ configuration: LuaConfiguration) {
        self.configuration = configuration
        shared = CallShared(configuration)
    }

    /// Adds a function.
    func add(_ body: HostFunction.Body, named publicName: String, isExclusive: Bool) -> BoundFunction {
        let function = BoundFunction(
            body, name: publicName, id: functions.count, isExclusive: isExclusive, bridge: self)
        functions.append(function)
        names.functions.append(publicName)
        return function
    }

    func reader(_ start: UnsafePointer<UInt8>?, _ length: Int) -> FlatReader {
        FlatReader(UnsafeRawBufferPointer(start: start, count: length), bridge: self)
    }

    func writer() -> FlatWriter { FlatWriter(types: types, depthLimit: configuration.limits.depth) }

    // MARK: callbacks

    func call(_ function: BoundFunction, _ call: UnsafeMutablePointer<CLuaCall>) -> CLuaReply {
        guard let current else { return fail(LuaError(.host, "no such host function"), nil) }
        var arguments: [LuaValue] = []
        let count = Int(call.pointee.count)
        if count > 0 {
            arguments.reserveCapacity(count)
            for index in 0..<count { arguments.append(value(of: call.pointee.arguments[index])) }
        }
        let exclusive = function.isExclusive ? arguments.first?.object : nil
        if let exclusive, let refusal = busy.refusal(of: function.name, on: exclusive) {
            return fail(refusal, call.pointee)
        }
        switch function.body {
        case .synchronous(let body):
            let serial = shared.enter()
            defer { shared.leave() }
            let context = CallContext(
                function: function.name, task: current.path, ordinal: Int(call.pointee.ordinal), shared: shared,
                serial: serial, position: nil)
            do {
                let results = try body(context, arguments)
                guard results.count <= CLUA_RESULT_SLOTS else { return try flatReply(results) }
                var writer = ResultWriter(call, self)
                for value in results { try writer.write(value) }
                writer.finish(call)
                return CLUA_REPLY_SLOTS
            } catch {
                return fail(LuaError(wrapping: error), call.pointee, of: function)
            }
        case .asynchronous(let body):
            let context = CallContext(
                function: function.name, task: current.path, ordinal: Int(call.pointee.ordinal), shared: shared,
                serial: 0, position: engine.flatMap(currentPosition))
            current.isGuarded = call.pointee.guarded
            if let exclusive { busy.begin(context, on: exclusive) }
            guard function.id == sleepID else {
                request = .call(HostCall(context: context, arguments: arguments, body: body))
                return CLUA_REPLY_WAIT
            }
            do {
                let duration = try LuaDuration.parse(arguments.first ?? .nil, for: "task.sleep: the duration")
                request = .sleep(context, duration)
                return CLUA_REPLY_WAIT
            } catch {
                return fail(error, call.pointee)
            }
        case .direct: return fail(LuaError(.host, "no such host function"), nil)
        }
    }

    /// The context of a call that is being served, for functions that asked for none.
    func liveContext(of function: BoundFunction, _ ordinal: UInt64) -> CallContext {
        CallContext(
            function: function.name, task: current?.path ?? TaskPath(), ordinal: Int(ordinal), shared: shared,
            serial: 0,
            position: engine.flatMap(currentPosition))
    }

    func value(of slot: CLuaSlot) -> LuaValue {
        switch Int(slot.tag) {
        case CLUA_TAG_NIL: return .nil
        case CLUA_TAG_FALSE: return .boolean(false)
        case CLUA_TAG_TRUE: return .boolean(true)
        case CLUA_TAG_INTEGER: return .integer(slot.word)
        case CLUA_TAG_NUMBER: return .number(Double(bitPattern: UInt64(bitPattern: slot.word)))
        case CLUA_TAG_STRING:
            return .string(strings.string(UnsafeRawBufferPointer(start: slot.bytes, count: slot.length)))
        case CLUA_TAG_OBJECT:
            guard slot.type < names.types.count else { return .nil }
            let id = UnsafeRawBufferPointer(start: slot.bytes, count: slot.length)
            return .object(LuaObject(type: names.types[Int(slot.type)], id: String(decoding: id, as: UTF8.self)))
        default:
            var reader = reader(slot.bytes, slot.length)
            return reader.next() ?? .nil
        }
    }

    /// Lends the flat form of a value, made in a buffer that is kept.
    func withFlat(_ value: LuaValue, _ body: (UnsafeRawBufferPointer) -> Void) throws(LuaError) {
        var writer = FlatWriter(types: types, depthLimit: configuration.limits.depth, reusing: scratch)
        scratch = []
        try writer.write([value])
        writer.bytes.withUnsafeBytes(body)
        // One huge result must not hold its memory for the rest of the run.
        if writer.bytes.count <= 1 << 16 { scratch = writer.bytes }
    }

    /// What the scheduler answers to a task that asks for something else than a call or a scope.
    func ask(_ ask: UnsafeMutablePointer<CLuaAsk>) -> CLuaReply {
        guard let current, let scheduler else { return CLUA_REPLY_ERROR }
        let name = String(
            decoding: UnsafeRawBufferPointer(start: ask.pointee.name, count: ask.pointee.length), as: UTF8.self)
        current.isGuarded = ask.pointee.guarded
        switch ask.pointee.question {
        case CLUA_ASK_SPAWN:
            guard let scope = current.openScope else {
                return fail(
                    LuaError(
                        .script,
                        "task.spawn: call it within the function of task.scope, which ends when its tasks have"), nil)
            }
            guard hasRoom(for: 1, beside: scheduler) else {
                let error = tooManyTasks(
                    "task.spawn", hint: "wait for some, or use task.map with limit",
                    at: engine.flatMap(currentPosition))
                // The scope fails with it, whatever its function makes of the call that was refused.
                scope.failure = scope.failure ?? error
                return fail(error, nil)
            }
            scope.count += 1
            scope.limit = scope.count
            ask.pointee.scope = scope.id
            ask.pointee.index = UInt32(scope.count)
            unstarted += 1
            if !scope.hasSpawned {
                scope.hasSpawned = true
                spawned.append(scope)
            }
            return CLUA_REPLY_VALUES
        case CLUA_ASK_JOIN:
            guard scheduler.canJoin(current, ask.pointee.scope, Int(ask.pointee.index)) else { return CLUA_REPLY_ERROR }
            request = .join(scope: ask.pointee.scope, index: Int(ask.pointee.index))
            return CLUA_REPLY_WAIT
        case CLUA_ASK_LOADER:
            guard let loader = scheduler.loaders[name] else { return CLUA_REPLY_VALUES }
            return loader === current ? CLUA_REPLY_ERROR : CLUA_REPLY_WAIT
        case CLUA_ASK_MODULE:
            guard scheduler.canAwait(current, module: name) else { return CLUA_REPLY_ERROR }
            request = .module(name)
            return CLUA_REPLY_WAIT
        case CLUA_ASK_LOADING:
            scheduler.loaders[name] = current
            return CLUA_REPLY_VALUES
        default:
            scheduler.loaders[name] = nil
            loaded.append(name)
            return CLUA_REPLY_VALUES
        }
    }

    func scope(_ call: CLuaScopeCall) -> CLuaReply {
        guard let current, let scheduler else { return fail(LuaError(.host, "no task is running"), nil) }
        var duration: Duration?
        if call.mode == CLUA_SCOPE_TIMEOUT {
            var reader = reader(call.arguments, call.length)
            do {
                duration = try LuaDuration.parse(reader.next() ?? .nil, for: "task.timeout: the time limit")
            } catch {
                return fail(LuaError(wrapping: error), nil)
            }
        }
        let wanted = ScopeCall(
            id: call.scope, mode: call.mode, count: Int(call.count), limit: Int(call.limit),
            ordinal: Int(call.ordinal), duration: duration, position: engine.flatMap(currentPosition))
        guard current.path.components.count < 2 * Self.deepestTask else {
            return fail(tooDeep(wanted.function, at: wanted.position), nil)
        }
        guard hasRoom(for: wanted.atOnce, beside: scheduler) else {
            return fail(tooManyTasks(wanted.function, hint: wanted.hintAgainstMany, at: wanted.position), nil)
        }
        current.isGuarded = call.guarded
        request = .scope(wanted)
        return CLUA_REPLY_WAIT
    }

    /// Whether that many tasks may come to those that are alive and those that were spawned since the task went on.
    private func hasRoom(for count: Int, beside scheduler: Scheduler) -> Bool {
        scheduler.tasks.count + unstarted + count <= configuration.limits.tasks
    }

    /// How deep tasks may start tasks within them: each knows its whole path, two numbers a level, and ends what is within.
    private static let deepestTask = 200

    private func tooDeep(_ function: String, at position: SourcePosition?) -> LuaError {
        LuaError(
            .size, "\(function): tasks within tasks are more than \(Self.deepestTask) deep",
            hint: "a function that starts tasks which call it again needs an end", where: position)
    }

    func tooManyTasks(_ function: String, hint: String, at position: SourcePosition?) -> LuaError {
        LuaError(
            .size, "\(function): too many tasks: at most \(configuration.limits.tasks) may exist at once", hint: hint,
            where: position)
    }

    func module(_ name: String) -> CLuaReply {
        do {
            guard let module = try configuration.resolver?.module(named: name) else { return reply([]) }
            chunks.insert(module.chunk)
            var writer = writer()
            try writer.write([
                LuaValue(module.chunk), .string(LuaString(bytes: module.source)), .boolean(module.isForeign),
            ])
            return reply(writer.bytes)
        } catch {
            return fail(LuaError(wrapping: error), nil)
        }
    }

    private func reply(_ bytes: [UInt8]) -> CLuaReply {
        if let engine { clua_reply_set(engine, bytes, bytes.count) }
        return CLUA_REPLY_VALUES
    }

    private func flatReply(_ values: [LuaValue]) throws(LuaError) -> CLuaReply {
        var writer = writer()
        try writer.write(values)
        return reply(writer.bytes)
    }

    /// Has the error raised, or held when nothing would catch it and the host wants to know.
    func fail(_ error: LuaError, _ call: CLuaCall?, of function: BoundFunction? = nil) -> CLuaReply {
        var error = error
        error.where = error.where ?? engine.flatMap(currentPosition)
        if let call, let function, !call.guarded, configuration.onUncaught != nil, let current, let scheduler,
            let engine, clua_call_can_wait(engine), !scheduler.isEnding, current.holdsErrors(guarded: false)
        {
            current.isGuarded = false
            request = .held(error, liveContext(of: function, call.ordinal))
            return CLUA_REPLY_WAIT
        }
        var writer = writer()
        writer.write(error)
        if let engine { clua_reply_set(engine, writer.bytes, writer.bytes.count) }
        return CLUA_REPLY_ERROR
    }

    /// The time that scripts read.
    private var time: Duration { configuration.time?() ?? configuration.clock.now }

    /// The table of C functions; `self` has to outlive the engine that is given it.
    func callbacks() -> CLuaHost {
        CLuaHost(
            context: Unmanaged.passUnretained(self).toOpaque(),
            ask: { context, ask in bridge(context)?.ask(ask) ?? CLUA_REPLY_ERROR },
            scope: { context, call in bridge(context)?.scope(call.pointee) ?? CLUA_REPLY_ERROR },
            module: { context, name, length in
                let bytes = UnsafeRawBufferPointer(start: name, count: length)
                return bridge(context)?.module(String(decoding: bytes, as: UTF8.self)) ?? CLUA_REPLY_ERROR
            },
            print: { context, text, length in
                let bytes = UnsafeRawBufferPointer(start: text, count: length)
                bridge(context)?.configuration.print(String(decoding: bytes, as: UTF8.self))
            },
            now: { context in bridge(context).map { $0.configuration.clock.now / .seconds(1) } ?? 0 },
            time: { context in bridge(context).map { $0.time / .seconds(1) } ?? 0 })
    }
}

private func bridge(_ context: UnsafeMutableRawPointer?) -> HostBridge? {
    context.map { Unmanaged<HostBridge>.fromOpaque($0).takeUnretainedValue() }
}

extension FlatReader {
    init(_ bytes: UnsafeRawBufferPointer, bridge: HostBridge) {
        self.init(bytes, strings: bridge.strings, names: bridge.names)
    }
}
