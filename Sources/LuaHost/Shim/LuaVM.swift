internal import CLuaShim

/// An open engine with everything the configuration registers.
///
/// It is not Sendable and belongs to one ``LuaState``, whose executor is the only thread to touch it.
final class LuaVM {
    let engine: OpaquePointer
    let bridge: HostBridge

    init(_ configuration: LuaConfiguration, cancelFlag: CancelFlag) throws(LuaError) {
        let bridge = HostBridge(configuration)
        let limits = configuration.limits
        var shimLimits = CLuaLimits(
            fuel: limits.fuel ?? 0, time_nanoseconds: limits.luaTime.map { Int64($0 / .nanoseconds(1)) } ?? 0,
            memory: limits.memory, argument_bytes: limits.argumentBytes, source_bytes: limits.sourceBytes,
            closing_fuel: limits.closingFuel,
            closing_time_nanoseconds: Int64(limits.closingTime / .nanoseconds(1)), depth: Int32(clamping: limits.depth),
            seed: configuration.seed, virtual_time: configuration.clock.isVirtual)
        var callbacks = bridge.callbacks()
        guard let engine = clua_open(&shimLimits, &callbacks) else {
            throw LuaError(
                .memory, "a Lua state does not fit into \(limits.memory) bytes", hint: "raise LuaConfiguration.limits")
        }
        bridge.engine = engine
        self.engine = engine
        self.bridge = bridge
        clua_use_cancel_flag(engine, cancelFlag.pointer)
        try installTypes(configuration)
        try installModules(configuration)
    }

    deinit {
        bridge.engine = nil
        clua_close(engine)
    }

    // MARK: registration

    private func installTypes(_ configuration: LuaConfiguration) throws(LuaError) {
        for type in configuration.objectTypes {
            let index = UInt32(bridge.names.types.count)
            bridge.types[type.name] = index
            bridge.names.types.append(type.name)
            try check(clua_install_type(engine, type.name, index))
            for method in type.methods {
                try install(
                    method, CLUA_AS_METHOD, in: type.name, as: "\(type.name):\(method.name)",
                    isExclusive: type.isExclusive)
            }
            for field in type.fields {
                try install(field, CLUA_AS_FIELD, in: type.name, as: "\(type.name).\(field.name)")
            }
            if let describe = type.describe {
                let function = HostFunction(
                    "tostring",
                    .synchronous { context, arguments in
                        guard let object = arguments.first?.object else { return [""] }
                        return [LuaValue(try describe(context, object))]
                    })
                try install(function, CLUA_AS_DESCRIPTION, in: type.name, as: "\(type.name).tostring")
            }
        }
    }

    private func installModules(_ configuration: LuaConfiguration) throws(LuaError) {
        bridge.sleepID = bridge.functions.count
        try install(TaskLibrary.sleep, CLUA_IN_MODULE, in: "task", as: "task.sleep")
        for function in configuration.offeredGlobals {
            try install(function, CLUA_IN_GLOBALS, in: "", as: function.name)
        }
        for module in configuration.offeredModules {
            try check(clua_install_module(engine, module.name, module.isGlobal))
            for function in module.functions {
                try install(function, CLUA_IN_MODULE, in: module.name, as: "\(module.name).\(function.name)")
            }
            for constant in module.constants {
                var writer = bridge.writer()
                try writer.write([constant.value])
                let bytes = writer.bytes
                try check(clua_install_constant(engine, module.name, constant.name, bytes, bytes.count))
            }
        }
    }

    private func install(
        _ function: HostFunction, _ place: CLuaPlace, in container: String, as publicName: String,
        isExclusive: Bool = false
    ) throws(LuaError) {
        let bound = bridge.add(function.body, named: publicName, isExclusive: isExclusive)
        try check(
            clua_install_function(
                engine, place, container, function.name, publicName, UInt32(bound.id), bound.waits, function.isTimed,
                bound.callback,
                bound.pointer))
    }

    private func check(_ status: CLuaStatus) throws(LuaError) {
        switch status {
        case CLUA_OK: return
        case CLUA_NO_MEMORY: throw LuaError(.memory, "the host functions do not fit into the memory limit")
        default: throw LuaError(.host, output { $0.next() }?.lossyText ?? "registration failed")
        }
    }

    // MARK: running

    /// Compiles a text; a main task can then be made of it.
    func load(_ source: String, chunk: String, expression: Bool = false) -> CLuaStatus {
        bridge.chunks.insert(chunk)
        var source = source
        return source.withUTF8 { text in
            guard let start = text.baseAddress else { return clua_load(engine, [0], 0, "@" + chunk, expression) }
            return clua_load(engine, start, text.count, "@" + chunk, expression)
        }
    }

    /// Runs a task until it waits or ends.
    func resume(
        _ task: TaskRecord, _ reply: CLuaReply, _ bytes: [UInt8], of scheduler: Scheduler
    ) -> CLuaStatus {
        bridge.current = task
        bridge.scheduler = scheduler
        defer { bridge.current = nil }
        return clua_task_resume(engine, task.pointer, reply, bytes, bytes.count)
    }

    /// Reads what the last call left in the output buffer.
    func output<T>(_ body: (inout FlatReader) -> T) -> T {
        var length = 0
        let start = clua_output(engine, &length)
        var reader = bridge.reader(start, length)
        return body(&reader)
    }

    /// The error of the last call that failed.
    func error(after status: CLuaStatus, kind: LuaError.Kind = .script) -> LuaError {
        if status == CLUA_NO_MEMORY { return LuaError(.memory, "the script has used up its memory budget") }
        return output { reader in
            var plain = reader
            if let report = ErrorReport(&reader) {
                return report.error(kind: kind, chunks: bridge.chunks)
            }
            return LuaError(kind, plain.next()?.lossyText ?? "unknown error")
        }
    }
}

extension HostFunction {
    /// Whether what its calls take is measured: a direct call takes less than that would.
    fileprivate var isTimed: Bool { if case .synchronous = body { true } else { false } }
}

/// A flag that ends a run; any thread may set it.
///
/// `@unchecked Sendable`: the C side is one atomic boolean, which lives as long as this object.
final class CancelFlag: @unchecked Sendable {
    let pointer: OpaquePointer

    init() { pointer = clua_cancel_flag_make() }
    deinit { clua_cancel_flag_free(pointer) }

    var isSet: Bool {
        get { clua_cancel_flag_get(pointer) }
        set { clua_cancel_flag_set(pointer, newValue) }
    }
}
