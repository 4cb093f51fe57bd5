import LuaHost

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
                    return try ErrorConversion.converting(about: call.arguments.receiver) { try body(call) }
                })
        case .waiting(let body):
            HostFunction(
                name,
                .asynchronous { context, values in
                    let call = try call(context, values, isMethod: isMethod)
                    return try await ErrorConversion.converting(about: call.arguments.receiver) { try await body(call) }
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
        return Call(session: session, arguments: arguments, context: context)
    }
}

extension FieldDeclaration {
    /// The field as the Lua host takes it: a function of the object alone.
    var hostFunction: HostFunction? {
        FunctionDeclaration(name, doc, effect: .reads, example: "", body).hostFunction(isMethod: true)
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
