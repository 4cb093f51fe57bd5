internal import CLuaShim

/// A host function within one state: what C calls, by a pointer that its bridge keeps alive.
final class BoundFunction {
    let name: String
    let id: Int
    let body: HostFunction.Body
    unowned(unsafe) let bridge: HostBridge
    private var direct: DirectFunction?

    init(_ body: HostFunction.Body, name: String, id: Int, bridge: HostBridge) {
        self.name = name
        self.id = id
        self.body = body
        self.bridge = bridge
        if case .direct(let body) = body { direct = DirectFunction(body, self) }
    }

    var waits: Bool { if case .asynchronous = body { true } else { false } }

    /// What C is to hand back with each call.
    var pointer: UnsafeMutableRawPointer {
        if let direct { return Unmanaged.passUnretained(direct).toOpaque() }
        return Unmanaged.passUnretained(self).toOpaque()
    }

    /// The C function for this kind of body.
    var callback: CLuaCallback {
        if direct != nil {
            return { binding, call in
                guard let binding else { return CLUA_REPLY_ERROR }
                return Unmanaged<DirectFunction>.fromOpaque(binding)._withUnsafeGuaranteedRef { $0.run(call) }
            }
        }
        return { binding, call in
            guard let binding else { return CLUA_REPLY_ERROR }
            return Unmanaged<BoundFunction>.fromOpaque(binding)._withUnsafeGuaranteedRef { $0.bridge.call($0, call) }
        }
    }
}

/// A direct function: its closure lies open, as taking it out of ``HostFunction/Body`` would count references each call.
final class DirectFunction {
    private let body: @Sendable (borrowing ArgumentReader, inout ResultWriter) throws(LuaError) -> Void
    private unowned(unsafe) let function: BoundFunction
    private unowned(unsafe) let bridge: HostBridge

    init(
        _ body: @escaping @Sendable (borrowing ArgumentReader, inout ResultWriter) throws(LuaError) -> Void,
        _ function: BoundFunction
    ) {
        self.body = body
        self.function = function
        bridge = function.bridge
    }

    func run(_ call: UnsafeMutablePointer<CLuaCall>) -> CLuaReply {
        var results = ResultWriter(call, bridge)
        do {
            try body(ArgumentReader(call, function), &results)
            return CLUA_REPLY_SLOTS
        } catch {
            return fail(error, call)
        }
    }

    @inline(never)
    private func fail(_ error: LuaError, _ call: UnsafeMutablePointer<CLuaCall>) -> CLuaReply {
        bridge.fail(error, call.pointee, of: function)
    }
}
