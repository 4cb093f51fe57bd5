internal import CLuaShim

/// The arguments of one call of a ``HostFunction/Body/direct(_:)`` function, read where Lua has them.
///
/// Indices count from 1, as Lua's users count. An argument that was not given reads as nil. The errors name the function
/// and the argument.
public struct ArgumentReader: ~Copyable {
    private let call: UnsafeMutablePointer<CLuaCall>
    private unowned(unsafe) let function: BoundFunction

    init(_ call: UnsafeMutablePointer<CLuaCall>, _ function: BoundFunction) {
        self.call = call
        self.function = function
    }

    /// How many arguments were given.
    public var count: Int { Int(call.pointee.count) }

    /// The public name of the function called.
    public var functionName: String { function.name }

    /// The call's task, ordinal, position, clock and user data.
    public var context: CallContext { function.bridge.liveContext(of: function, call.pointee.ordinal) }

    /// Whether an argument is nil or was not given.
    public func isNil(_ index: Int) -> Bool { tag(index) == CLUA_TAG_NIL }

    /// An integer, or a number that is one.
    public func integer(_ index: Int) throws(LuaError) -> Int64 {
        if tag(index) == CLUA_TAG_INTEGER { return slot(index).word }
        return try convertedInteger(index)
    }

    @inline(never)
    private func convertedInteger(_ index: Int) throws(LuaError) -> Int64 {
        if tag(index) == CLUA_TAG_NUMBER, let value = Int64(exactly: double(index)) { return value }
        throw mismatch(index, "an integer")
    }

    /// A number; integers are converted.
    public func number(_ index: Int) throws(LuaError) -> Double {
        switch tag(index) {
        case CLUA_TAG_NUMBER: return double(index)
        case CLUA_TAG_INTEGER: return Double(slot(index).word)
        default: throw mismatch(index, "a number")
        }
    }

    /// A boolean.
    public func boolean(_ index: Int) throws(LuaError) -> Bool {
        switch tag(index) {
        case CLUA_TAG_TRUE: return true
        case CLUA_TAG_FALSE: return false
        default: throw mismatch(index, "a boolean")
        }
    }

    /// The text of a string; bytes that are not UTF-8 show as U+FFFD.
    public func string(_ index: Int) throws(LuaError) -> String {
        try withBytes(index) { String(decoding: $0, as: UTF8.self) }
    }

    /// Lends the bytes of a string; they hold until `body` returns.
    public func withBytes<T>(_ index: Int, _ body: (UnsafeRawBufferPointer) -> T) throws(LuaError) -> T {
        guard tag(index) == CLUA_TAG_STRING else { throw mismatch(index, "a string") }
        let slot = slot(index)
        return body(UnsafeRawBufferPointer(start: slot.bytes, count: slot.length))
    }

    /// A handle of a host object of the given type.
    public func object(_ index: Int, type: String) throws(LuaError) -> LuaObject {
        guard case .object(let object) = value(index), object.type == type else { throw mismatch(index, "a \(type)") }
        return object
    }

    /// A copy of any argument.
    public func value(_ index: Int) -> LuaValue {
        tag(index) == CLUA_TAG_NIL ? .nil : function.bridge.value(of: slot(index))
    }

    private func tag(_ index: Int) -> Int {
        index >= 1 && index <= Int(call.pointee.count) ? Int(call.pointee.arguments[index - 1].tag) : CLUA_TAG_NIL
    }

    private func slot(_ index: Int) -> CLuaSlot { call.pointee.arguments[index - 1] }
    private func double(_ index: Int) -> Double { Double(bitPattern: UInt64(bitPattern: slot(index).word)) }

    @inline(never)
    private func mismatch(_ index: Int, _ wanted: String) -> LuaError {
        let got = isNil(index) && index > count ? "nothing" : value(index).typeName
        return LuaError(.argument, "\(function.name): argument \(index) must be \(wanted), got \(got)")
    }
}
