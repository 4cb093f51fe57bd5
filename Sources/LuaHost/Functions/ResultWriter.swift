internal import CLuaShim

/// The results of one call of a ``HostFunction/Body/direct(_:)`` function, in order; at most 16.
public struct ResultWriter: ~Copyable {
    private let call: UnsafeMutablePointer<CLuaCall>
    private unowned(unsafe) let bridge: HostBridge

    init(_ call: UnsafeMutablePointer<CLuaCall>, _ bridge: HostBridge) {
        self.call = call
        self.bridge = bridge
    }

    /// Adds an integer.
    public mutating func write(_ value: Int64) { put(CLUA_TAG_INTEGER, value) }

    /// Adds a number.
    public mutating func write(_ value: Double) { put(CLUA_TAG_NUMBER, Int64(bitPattern: value.bitPattern)) }

    /// Adds a boolean.
    public mutating func write(_ value: Bool) { put(value ? CLUA_TAG_TRUE : CLUA_TAG_FALSE, 0) }

    /// Adds nil.
    public mutating func writeNil() { put(CLUA_TAG_NIL, 0) }

    /// Adds a string of the UTF-8 form of the text.
    public mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { put(CLUA_TAG_STRING, UnsafeRawBufferPointer($0)) }
    }

    /// Adds a string of the given bytes.
    public mutating func write(bytes: UnsafeRawBufferPointer) { put(CLUA_TAG_STRING, bytes) }

    /// Adds any value.
    ///
    /// - Throws: ``LuaError`` when it is nested too deeply or holds an object of an unknown type.
    public mutating func write(_ value: LuaValue) throws(LuaError) {
        switch value {
        case .nil: writeNil()
        case .boolean(let value): write(value)
        case .integer(let value): write(value)
        case .number(let value): write(value)
        case .string(let string): string.bytes.withUnsafeBytes { put(CLUA_TAG_STRING, $0) }
        case .table, .function, .object:
            try bridge.withFlat(value) { put(CLUA_TAG_TABLE, $0) }
        }
    }

    private func put(_ tag: Int, _ word: Int64) {
        let index = Int(call.pointee.result_count)
        precondition(index < CLUA_RESULT_SLOTS, "a direct host function has more than \(CLUA_RESULT_SLOTS) results")
        let slot = call.pointee.results + index
        slot.pointee.tag = UInt8(truncatingIfNeeded: tag)
        slot.pointee.word = word
        call.pointee.result_count += 1
    }

    private func put(_ tag: Int, _ bytes: UnsafeRawBufferPointer) {
        let index = Int(call.pointee.result_count)
        var offset: Int64 = 0
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let engine = bridge.engine, clua_reply_append(engine, start, bytes.count, &offset) else {
            return put(CLUA_TAG_NIL, 0)
        }
        put(tag, offset)
        call.pointee.results[index].length = bytes.count
    }
}
