internal import CLuaShim

/// A host function within one state: what C calls, by a pointer that its bridge keeps alive.
final class BoundFunction {
    let name: String
    let id: Int
    let body: HostFunction.Body
    /// Whether it is a method of a type whose objects serve one call at a time.
    let isExclusive: Bool
    unowned(unsafe) let bridge: HostBridge
    private var owner: Unmanaged<HostBridge> { Unmanaged.passUnretained(bridge) }
    private var direct: UnsafeMutablePointer<DirectFunction>?

    init(_ body: HostFunction.Body, name: String, id: Int, isExclusive: Bool, bridge: HostBridge) {
        self.isExclusive = isExclusive
        self.name = name
        self.id = id
        self.body = body
        self.bridge = bridge
        if case .direct(let body) = body {
            let direct = UnsafeMutablePointer<DirectFunction>.allocate(capacity: 1)
            direct.initialize(to: DirectFunction(body, self))
            self.direct = direct
        }
    }

    deinit {
        direct?.deinitialize(count: 1)
        direct?.deallocate()
    }

    var waits: Bool { if case .asynchronous = body { true } else { false } }

    /// What C is to hand back with each call.
    var pointer: UnsafeMutableRawPointer {
        if let direct { return UnsafeMutableRawPointer(direct) }
        return Unmanaged.passUnretained(self).toOpaque()
    }

    /// The C function for this kind of body.
    var callback: CLuaCallback {
        if direct != nil {
            return { binding, call in
                guard let binding else { return CLUA_REPLY_ERROR }
                return binding.assumingMemoryBound(to: DirectFunction.self).pointee.run(call)
            }
        }
        return { binding, call in
            guard let binding else { return CLUA_REPLY_ERROR }
            return Unmanaged<BoundFunction>.fromOpaque(binding)._withUnsafeGuaranteedRef { function in
                function.owner._withUnsafeGuaranteedRef { $0.call(function, call) }
            }
        }
    }
}

/// A direct function, kept in memory of its own: a closure that is called where it lies, in a value that cannot be
/// copied, counts no references.
struct DirectFunction: ~Copyable {
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

    /// A call with numbers takes some tens of nanoseconds, of which another frame would be one.
    @inline(__always)
    borrowing func run(_ call: UnsafeMutablePointer<CLuaCall>) -> CLuaReply {
        var results = ResultWriter(call, bridge)
        do {
            try body(ArgumentReader(call, function), &results)
            results.finish(call)
            return CLUA_REPLY_SLOTS
        } catch {
            return fail(error, call)
        }
    }

    @inline(never)
    private borrowing func fail(_ error: LuaError, _ call: UnsafeMutablePointer<CLuaCall>) -> CLuaReply {
        bridge.fail(error, call.pointee, of: function)
    }
}
