internal import CLuaShim

/// Reads values from the flat form that the shim writes; see CLuaShim.h.
///
/// The bytes come from the shim alone, which has checked depth and size, so a malformed buffer is a bug; it reads as
/// the values before it.
///
/// It counts references only of what it hands out: the owner of `strings` and `names` outlives it.
struct FlatReader {
    private var at: UnsafeRawPointer
    private let end: UnsafeRawPointer
    private let strings: StringCache.Table
    private unowned(unsafe) let names: HostNames

    init(_ bytes: UnsafeRawBufferPointer, strings: StringCache, names: HostNames) {
        // Of no bytes any address is the start.
        at = bytes.baseAddress ?? UnsafeRawPointer(Unmanaged.passUnretained(names).toOpaque())
        end = at + bytes.count
        self.strings = strings.table
        self.names = names
    }

    /// Whether the next value is an error object, which otherwise reads as a table of its fields.
    var isAtError: Bool { at < end && Int(at.load(as: UInt8.self)) == CLUA_TAG_ERROR }

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
        case CLUA_TAG_STRING: return text().map { .string(strings.string($0)) }
        case CLUA_TAG_TABLE: return table().map { .table($0) }
        case CLUA_TAG_ERROR: return next()
        case CLUA_TAG_OBJECT: return object().map { .object($0) }
        case CLUA_TAG_FUNCTION: return function().map { .function($0) }
        default: return nil
        }
    }

    private mutating func object() -> LuaObject? {
        guard let type: UInt32 = raw(), let id = text(), type < names.types.count else { return nil }
        return LuaObject(type: names.types[Int(type)], id: String(decoding: id, as: UTF8.self))
    }

    private mutating func function() -> LuaFunction? {
        guard let id: UInt64 = raw() else { return nil }
        guard id >> 63 == 1 else { return LuaFunction(id: id, hostName: nil) }
        let index = Int(id & 0xffff_ffff)
        let own = clua_function_name(id).map { String(cString: $0) }
        return LuaFunction(id: id, hostName: own ?? (index < names.functions.count ? names.functions[index] : nil))
    }

    @inline(never)
    private mutating func table() -> LuaTable? {
        guard let array: UInt32 = raw(), let fields: UInt32 = raw() else { return nil }
        guard let values = list(array, { $0.next() }) else { return nil }
        let pairs = list(fields) { reader -> LuaTable.Field? in
            guard let key = reader.next(), let value = reader.next() else { return nil }
            return LuaTable.Field(key: key, value: value)
        }
        return pairs.map { LuaTable(array: values, fields: $0) }
    }

    /// Reads items into their place, or nil when one is missing.
    ///
    /// An item takes a byte at least, so a count larger than the bytes left is no reason to allocate.
    @inline(__always)
    private mutating func list<T>(_ count: UInt32, _ item: (inout FlatReader) -> T?) -> [T]? {
        let count = Int(count)
        guard count <= end - at else { return nil }
        guard count > 0 else { return [] }
        let items = [T](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let value = item(&self) {
                buffer.initializeElement(at: filled, to: value)
                filled += 1
            }
        }
        return items.count == count ? items : nil
    }

    @inline(__always)
    private mutating func raw<T: BitwiseCopyable>() -> T? {
        let size = MemoryLayout<T>.size
        guard end - at >= size else { return nil }
        defer { at += size }
        return at.loadUnaligned(as: T.self)
    }

    @inline(__always)
    private mutating func text() -> UnsafeRawBufferPointer? {
        guard let length: UInt32 = raw(), end - at >= Int(length) else { return nil }
        defer { at += Int(length) }
        return UnsafeRawBufferPointer(start: at, count: Int(length))
    }
}

/// What values are called: the types of host objects and the host functions, by their numbers in the flat form.
final class HostNames {
    var types: [String] = []
    var functions: [String] = []
}
