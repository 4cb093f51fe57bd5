internal import CLuaShim

/// The Swift end of the trampoline: finds the function that C asks for and runs it or notes that it has to wait.
///
/// It is not Sendable and belongs to one ``LuaState``, whose executor is the only thread to touch it. Its callbacks
/// return codes; no Lua error ever passes through them.
final class HostBridge {
    /// What a task asked for when it was suspended.
    enum Request {
        case call(HostCall)
        case scope(ScopeCall)
    }

    struct HostCall: Sendable {
        let context: CallContext
        let arguments: [LuaValue]
        let body: @Sendable (CallContext, [LuaValue]) async throws -> [LuaValue]
    }

    struct ScopeCall {
        let id: UInt64
        let mode: CLuaScopeMode
        let count: Int
        let limit: Int
        let duration: Duration?
    }

    let configuration: LuaConfiguration
    /// Set once the engine is open; the callbacks need it to hand over replies.
    var engine: OpaquePointer?
    /// The task that runs; set by the scheduler around each resume.
    var current: TaskRecord?
    /// Filled by a callback that suspends, taken by the scheduler.
    var request: Request?
    var types: [String: UInt32] = [:]
    var typeNames: [String] = []
    /// The names of the chunks loaded so far.
    var chunks: Set<String> = []
    private(set) var functionNames: [String] = []
    private var bodies: [HostFunction.Body] = []

    init(_ configuration: LuaConfiguration) { self.configuration = configuration }

    /// Adds a function and returns its id.
    func add(_ body: HostFunction.Body, named publicName: String) -> UInt32 {
        bodies.append(body)
        functionNames.append(publicName)
        return UInt32(bodies.count - 1)
    }

    func reader(_ start: UnsafePointer<UInt8>?, _ length: Int) -> FlatReader {
        FlatReader(
            UnsafeRawBufferPointer(start: start, count: length), typeNames: typeNames, functionNames: functionNames)
    }

    func writer() -> FlatWriter { FlatWriter(types: types, depthLimit: configuration.limits.depth) }

    // MARK: callbacks

    func call(_ call: CLuaCall) -> CLuaReply {
        let index = Int(call.function)
        guard index < bodies.count, let current else { return fail(LuaError(.host, "no such host function")) }
        var reader = reader(call.arguments, call.length)
        let arguments = reader.readAll(capacity: Int(call.count))
        current.ordinal += 1
        let position = call.chunk.map { SourcePosition(chunk: String(cString: $0), line: Int(call.line)) }
        let context = CallContext(
            function: functionNames[index], task: current.path, ordinal: current.ordinal, where: position,
            clock: configuration.clock, data: configuration.userData, sink: configuration.print)
        switch bodies[index] {
        case .synchronous(let body):
            do {
                var writer = writer()
                try writer.write(body(context, arguments))
                return reply(writer.bytes)
            } catch {
                return fail(LuaError(wrapping: error), position)
            }
        case .asynchronous(let body):
            request = .call(HostCall(context: context, arguments: arguments, body: body))
            return CLUA_REPLY_WAIT
        }
    }

    func scope(_ call: CLuaScopeCall) -> CLuaReply {
        guard let current else { return fail(LuaError(.host, "no task is running")) }
        var duration: Duration?
        if call.mode == CLUA_SCOPE_TIMEOUT {
            var reader = reader(call.arguments, call.length)
            do {
                duration = try LuaDuration.parse(reader.next() ?? .nil, for: "task.timeout: the time limit")
            } catch {
                return fail(LuaError(wrapping: error))
            }
        }
        current.ordinal += 1
        request = .scope(
            ScopeCall(
                id: call.scope, mode: call.mode, count: Int(call.count), limit: Int(call.limit), duration: duration))
        return CLUA_REPLY_WAIT
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
            return fail(LuaError(wrapping: error))
        }
    }

    private func reply(_ bytes: [UInt8]) -> CLuaReply {
        if let engine { clua_reply_set(engine, bytes, bytes.count) }
        return CLUA_REPLY_VALUES
    }

    private func fail(_ error: LuaError, _ position: SourcePosition? = nil) -> CLuaReply {
        var error = error
        error.where = error.where ?? position
        var writer = writer()
        writer.write(error)
        if let engine { clua_reply_set(engine, writer.bytes, writer.bytes.count) }
        return CLUA_REPLY_ERROR
    }

    /// The table of C functions; `self` has to outlive the engine that is given it.
    func callbacks() -> CLuaHost {
        CLuaHost(
            context: Unmanaged.passUnretained(self).toOpaque(),
            call: { context, call in bridge(context)?.call(call.pointee) ?? CLUA_REPLY_ERROR },
            scope: { context, call in bridge(context)?.scope(call.pointee) ?? CLUA_REPLY_ERROR },
            module: { context, name, length in
                let bytes = UnsafeRawBufferPointer(start: name, count: length)
                return bridge(context)?.module(String(decoding: bytes, as: UTF8.self)) ?? CLUA_REPLY_ERROR
            },
            print: { context, text, length in
                let bytes = UnsafeRawBufferPointer(start: text, count: length)
                bridge(context)?.configuration.print(String(decoding: bytes, as: UTF8.self))
            },
            now: { context in bridge(context).map { $0.configuration.clock.now / .seconds(1) } ?? 0 })
    }
}

private func bridge(_ context: UnsafeMutableRawPointer?) -> HostBridge? {
    context.map { Unmanaged<HostBridge>.fromOpaque($0).takeUnretainedValue() }
}
