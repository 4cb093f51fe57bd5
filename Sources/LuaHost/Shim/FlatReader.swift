internal import CLuaShim

/// Reads values from the flat form that the shim writes; see CLuaShim.h.
///
/// The bytes come from the shim alone, which has checked depth and size, so a malformed buffer is a bug; it reads as
/// the values before it.
struct FlatReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private unowned(unsafe) let bridge: HostBridge

    init(_ bytes: UnsafeRawBufferPointer, bridge: HostBridge) {
        self.bytes = bytes
        self.bridge = bridge
    }

    var isAtEnd: Bool { offset >= bytes.count }

    /// Whether the next value is an error object, which otherwise reads as a table of its fields.
    var isAtError: Bool { offset < bytes.count && Int(bytes[offset]) == CLUA_TAG_ERROR }

    mutating func readAll(capacity: Int = 4) -> [LuaValue] {
        var values: [LuaValue] = []
        values.reserveCapacity(capacity)
        while let value = next() { values.append(value) }
        return values
    }

    mutating func next() -> LuaValue? {
        guard let tag: UInt8 = raw() else { return nil }
        switch Int(tag) {
        case CLUA_TAG_NIL: return .nil
        case CLUA_TAG_FALSE: return .boolean(false)
        case CLUA_TAG_TRUE: return .boolean(true)
        case CLUA_TAG_INTEGER: return raw().map { .integer($0) }
        case CLUA_TAG_NUMBER: return raw().map { .number($0) }
        case CLUA_TAG_STRING: return text().map { .string(bridge.strings.string($0)) }
        case CLUA_TAG_TABLE: return table()
        case CLUA_TAG_ERROR: return next()
        case CLUA_TAG_OBJECT:
            guard let type: UInt32 = raw(), let id = text(), type < bridge.typeNames.count else {
                return nil
            }
            return .object(LuaObject(type: bridge.typeNames[Int(type)], id: String(decoding: id, as: UTF8.self)))
        case CLUA_TAG_FUNCTION:
            guard let id: UInt64 = raw() else { return nil }
            let index = Int(id & 0xffff_ffff)
            guard id >> 63 == 1 else { return .function(LuaFunction(id: id, hostName: nil)) }
            let own = clua_function_name(id).map { String(cString: $0) }
            let name = own ?? (index < bridge.functions.count ? bridge.functions[index].name : nil)
            return .function(LuaFunction(id: id, hostName: name))
        default: return nil
        }
    }

    private mutating func table() -> LuaValue? {
        guard let array: UInt32 = raw(), let fields: UInt32 = raw() else { return nil }
        var values: [LuaValue] = []
        values.reserveCapacity(min(Int(array), bytes.count - offset))
        for _ in 0..<array {
            guard let value = next() else { return nil }
            values.append(value)
        }
        var pairs: [LuaTable.Field] = []
        pairs.reserveCapacity(min(Int(fields), bytes.count - offset))
        for _ in 0..<fields {
            guard let key = next(), let value = next() else { return nil }
            pairs.append(LuaTable.Field(key: key, value: value))
        }
        return .table(LuaTable(array: values, fields: pairs))
    }

    private mutating func raw<T: BitwiseCopyable>() -> T? {
        let size = MemoryLayout<T>.size
        guard bytes.count - offset >= size else { return nil }
        defer { offset += size }
        return bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
    }

    private mutating func text() -> UnsafeRawBufferPointer? {
        guard let length: UInt32 = raw(), bytes.count - offset >= Int(length) else { return nil }
        defer { offset += Int(length) }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(length)])
    }
}
