internal import CLuaShim

/// The arguments of one call of a ``HostFunction/Body/direct(_:)`` function, read where Lua has them.
///
/// Indices count from 1, as Lua's users count. An argument that was not given reads as nil. The errors name the function
/// and the argument.
public struct ArgumentReader: ~Copyable {
    /// How many arguments were given.
    public let count: Int
    /// As many of C's slots.
    @usableFromInline let slots: UnsafeRawPointer
    private let ordinal: UInt64
    private unowned(unsafe) let function: BoundFunction

    init(_ call: UnsafeMutablePointer<CLuaCall>, _ function: BoundFunction) {
        count = Int(call.pointee.count)
        slots = UnsafeRawPointer(call.pointee.arguments)
        ordinal = call.pointee.ordinal
        self.function = function
    }

    /// The public name of the function called.
    public var functionName: String { function.name }

    /// The call's task, ordinal, position, clock and user data.
    public var context: CallContext { function.bridge.liveContext(of: function, ordinal) }

    /// Whether an argument is nil or was not given.
    public func isNil(_ index: Int) -> Bool { tag(index) == CLUA_TAG_NIL }

    /// An integer, or a number that is one.
    @inlinable
    public func integer(_ index: Int) throws(LuaError) -> Int64 {
        if let word = SlotLayout.word(slots, count, index, tag: SlotLayout.integer) { return word }
        return try convertedInteger(index)
    }

    @inline(never) @usableFromInline
    func convertedInteger(_ index: Int) throws(LuaError) -> Int64 {
        if tag(index) == CLUA_TAG_NUMBER, let value = Int64(exactly: double(index)) { return value }
        throw mismatch(index, "an integer")
    }

    /// A number; integers are converted.
    @inlinable
    public func number(_ index: Int) throws(LuaError) -> Double {
        if let word = SlotLayout.word(slots, count, index, tag: SlotLayout.number) {
            return Double(bitPattern: UInt64(bitPattern: word))
        }
        return try convertedNumber(index)
    }

    @inline(never) @usableFromInline
    func convertedNumber(_ index: Int) throws(LuaError) -> Double {
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

    private func tag(_ index: Int) -> Int { index >= 1 && index <= count ? Int(slot(index).tag) : CLUA_TAG_NIL }

    private func slot(_ index: Int) -> CLuaSlot {
        slots.load(fromByteOffset: (index - 1) * SlotLayout.stride, as: CLuaSlot.self)
    }

    private func double(_ index: Int) -> Double { Double(bitPattern: UInt64(bitPattern: slot(index).word)) }

    @inline(never)
    private func mismatch(_ index: Int, _ wanted: String) -> LuaError {
        let got = isNil(index) && index > count ? "nothing" : value(index).typeName
        return LuaError(.argument, "\(function.name): argument \(index) must be \(wanted), got \(got)")
    }
}
