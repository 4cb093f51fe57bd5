internal import Foundation

/// How names are kept so that both vaults compare and order them alike, and as people expect.
enum SortKey {
    /// The form in which names are compared: two spellings of one accented letter are one name.
    ///
    /// A name of ASCII alone has one spelling.
    static func canonical(_ name: String) -> String {
        name.utf8.allSatisfy { $0 < 0x80 } ? name : name.precomposedStringWithCanonicalMapping
    }

    /// A string whose plain byte order is the order of names: "vm2" before "vm10".
    ///
    /// Each run of digits is written without leading zeros behind its length in three digits; a longer run than 999
    /// digits is compared by its first 999.
    static func key(_ name: String) -> String {
        let name = Array(canonical(name).utf8)
        var key: [UInt8] = []
        key.reserveCapacity(name.count + 16)
        var index = 0
        while index < name.count {
            guard isDigit(name[index]) else {
                key.append(name[index])
                index += 1
                continue
            }
            let run = name[index...].prefix(while: isDigit)
            index += run.count
            let value = run.drop { $0 == zero }.prefix(999)
            for place in [100, 10, 1] { key.append(zero + UInt8(value.count / place % 10)) }
            key += value
        }
        return String(decoding: key, as: UTF8.self)
    }

    private static let zero = UInt8(ascii: "0")

    private static func isDigit(_ byte: UInt8) -> Bool { (zero...UInt8(ascii: "9")).contains(byte) }

    /// Byte order, which is SQLite's; Swift's own string order is another.
    static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
}
