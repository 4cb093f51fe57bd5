internal import CLuaShim

/// The results of one call of a ``HostFunction/Body/direct(_:)`` function, in order; at most 16.
public struct ResultWriter: ~Copyable {
    /// Room for 16 of C's slots.
    @usableFromInline let slots: UnsafeMutableRawPointer
    @usableFromInline var count = 0
    private unowned(unsafe) let bridge: HostBridge

    init(_ call: UnsafeMutablePointer<CLuaCall>, _ bridge: HostBridge) {
        slots = UnsafeMutableRawPointer(call.pointee.results)
        self.bridge = bridge
    }

    /// Tells C how many results there are.
    func finish(_ call: UnsafeMutablePointer<CLuaCall>) {
        call.pointee.result_count = UInt32(truncatingIfNeeded: count)
    }

    /// Adds an integer.
    @inlinable
    public mutating func write(_ value: Int64) { put(SlotLayout.integer, value) }

    /// Adds a number.
    @inlinable
    public mutating func write(_ value: Double) { put(SlotLayout.number, Int64(bitPattern: value.bitPattern)) }

    /// Adds a boolean.
    @inlinable
    public mutating func write(_ value: Bool) { put(value ? SlotLayout.truth : SlotLayout.falsehood, 0) }

    /// Adds nil.
    public mutating func writeNil() { put(UInt8(CLUA_TAG_NIL), 0) }

    /// Adds a string of the UTF-8 form of the text.
    public mutating func write(_ text: String) {
        text.utf8.span.withUnsafeBytes { put(CLUA_TAG_STRING, $0) }
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

    @inlinable @inline(__always)
    mutating func put(_ tag: UInt8, _ word: Int64) {
        precondition(count < 16, "a direct host function has more than 16 results")
        let slot = slots + count * SlotLayout.stride
        slot.storeBytes(of: tag, as: UInt8.self)
        slot.storeBytes(of: word, toByteOffset: SlotLayout.word, as: Int64.self)
        count += 1
    }

    private mutating func put(_ tag: Int, _ bytes: UnsafeRawBufferPointer) {
        var offset: Int64 = 0
        let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let engine = bridge.engine, clua_reply_append(engine, start, bytes.count, &offset) else {
            return writeNil()
        }
        let index = count
        put(UInt8(truncatingIfNeeded: tag), offset)
        slots.assumingMemoryBound(to: CLuaSlot.self)[index].length = bytes.count
    }
}
