import LuaHost
import RecoveryEngine

extension FunctionDeclaration {
    /// The function as the Lua host takes it; nil when the host has it already.
    ///
    /// - Parameter isMethod: whether its first value is the object that it is called on.
    func hostFunction(isMethod: Bool) -> HostFunction? {
        switch body {
        case .host:
            nil
        case .immediate(let body):
            HostFunction(
                name,
                .synchronous { context, values in
                    let call = try call(context, values, isMethod: isMethod)
                    return try call.reading(effect) {
                        try ErrorConversion.converting(about: call.arguments.receiver) { try body(call) }
                    }
                })
        case .waiting(let body):
            HostFunction(
                name,
                .asynchronous { context, values in
                    let call = try call(context, values, isMethod: isMethod)
                    return try await call.performing {
                        try await call.rehearsing(effect) {
                            try await ErrorConversion.converting(about: call.arguments.receiver) {
                                try await body(call)
                            }
                        }
                    }
                })
        }
    }

    private func call(
        _ context: CallContext, _ values: [LuaValue], isMethod: Bool
    ) throws(LuaError) -> Call {
        guard let session: ScriptContext = context.userData() else {
            throw LuaError(.host, "\(context.function) was called outside a run of Perilune")
        }
        let receiver = isMethod ? values.first?.object : nil
        let arguments = try ArgumentDecoder(function: context.function, declaration: self)
            .decode(Array(isMethod ? values.dropFirst() : values[...]), receiver: receiver)
        var call = Call(session: session, arguments: arguments, context: context)
        if session.keeper != nil {
            call.step = try ErrorConversion.converting(about: receiver) {
                try StepCall(context, values, arguments.isLookup ? .reads : effect, repetition)
            }
        }
        return call
    }
}

extension Call {
    /// Makes the call, or gives back what it came to before, where the run keeps a journal.
    fileprivate func performing(_ body: () async throws -> [LuaValue]) async throws -> [LuaValue] {
        guard let keeper = session.keeper, let step else { return try await body() }
        return try await keeper.perform(step, body)
    }

    /// The same for one that does not wait; what changes nothing and depends on nothing outside is made each time.
    fileprivate func reading(_ effect: Effect, _ body: () throws -> [LuaValue]) throws -> [LuaValue] {
        guard effect == .reads, let keeper = session.keeper, let step else { return try body() }
        return try keeper.read(step, body)
    }

    /// What asks: the run, and this step of it where it keeps a journal.
    ///
    /// Function and arguments belong to the step's name: a run that is repeated from an earlier step may come by other ways to
    /// the same place, and asks for something else there.
    var asker: RunStep {
        guard let keeper = session.keeper, let step else { return RunStep(run: session.run) }
        return RunStep(
            run: session.run, step: "\(step.step) \(step.function) \(step.arguments)",
            attempt: keeper.attempts(of: step.step))
    }
}

extension FieldDeclaration {
    /// A field that is known at once is part of the handle.
    private var effect: Effect { if case .immediate = body { .none } else { .reads } }

    /// The field as the Lua host takes it: a function of the object alone.
    var hostFunction: HostFunction? {
        FunctionDeclaration(name, doc, effect: effect, example: "", body).hostFunction(isMethod: true)
    }
}

extension TypeDeclaration {
    /// The type as the Lua host takes it.
    var objectType: ObjectType {
        ObjectType(
            name, methods: methods.compactMap { $0.hostFunction(isMethod: true) },
            fields: fields.compactMap(\.hostFunction),
            describe: { context, object in
                let session: ScriptContext? = context.userData()
                return session?.label(of: object) ?? "\(object.type)<\(Handle.name(of: object))>"
            })
    }
}

extension ModuleDeclaration {
    /// The module as the Lua host takes it; nil when the host has it already.
    var hostModule: HostModule? {
        let functions = functions.compactMap { $0.hostFunction(isMethod: false) }
        return functions.isEmpty ? nil : HostModule(name, functions: functions)
    }
}
