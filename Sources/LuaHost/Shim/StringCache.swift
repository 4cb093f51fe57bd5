/// Short strings that were read before: the names of options come again with every call.
final class StringCache {
    let table = Table(entries: .allocate(capacity: Table.count))

    init() { table.entries.initialize(repeating: LuaString(bytes: []), count: Table.count) }

    deinit {
        table.entries.deinitialize(count: Table.count)
        table.entries.deallocate()
    }

    func string(_ bytes: UnsafeRawBufferPointer) -> LuaString { table.string(bytes) }

    /// The strings, for one who knows that their owner lives: using them counts no references of the owner.
    struct Table {
        fileprivate static let lengthLimit = 32
        fileprivate static let count = 256
        fileprivate let entries: UnsafeMutablePointer<LuaString>

        func string(_ bytes: UnsafeRawBufferPointer) -> LuaString {
            guard bytes.count > 0, bytes.count <= Self.lengthLimit else { return LuaString(bytes: Array(bytes)) }
            let entry = entries + Self.index(bytes)
            if entry.pointee.holds(bytes) { return entry.pointee }
            let made = LuaString(bytes: Array(bytes))
            entry.pointee = made
            return made
        }

        private static func index(_ bytes: UnsafeRawBufferPointer) -> Int {
            let count = bytes.count
            var hash = UInt64(truncatingIfNeeded: count)
            if count >= 8 {
                hash ^= bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
                hash ^= bytes.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self) &* 31
            } else {
                for offset in 0..<count { hash = (hash << 8) ^ (hash >> 56) ^ UInt64(bytes[offset]) }
            }
            hash = hash &* 0x9E37_79B9_7F4A_7C15
            return Int(truncatingIfNeeded: hash >> 56)
        }
    }
}

extension LuaString {
    fileprivate func holds(_ other: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count == other.count else { return false }
        return bytes.withUnsafeBytes { own in
            var offset = 0
            while offset + 8 <= own.count {
                guard
                    own.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                        == other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                else { return false }
                offset += 8
            }
            while offset < own.count {
                guard own[offset] == other[offset] else { return false }
                offset += 1
            }
            return true
        }
    }
}
