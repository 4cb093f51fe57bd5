internal import Foundation

/// How names are kept so that both vaults compare and order them alike, and as people expect.
enum SortKey {
    /// The form in which names are compared: two spellings of one accented letter are one name.
    static func canonical(_ name: String) -> String { name.precomposedStringWithCanonicalMapping }

    /// A string whose plain byte order is the order of names: "vm2" before "vm10".
    ///
    /// Each run of digits is written without leading zeros behind its length in three digits; a longer run than 999
    /// digits is compared by its first 999.
    static func key(_ name: String) -> String {
        var key = ""
        var digits = ""
        func flush() {
            guard !digits.isEmpty else { return }
            let value = digits.drop { $0 == "0" }.prefix(999)
            let length = String(value.count)
            key += String(repeating: "0", count: 3 - length.count) + length + value
            digits = ""
        }
        for character in canonical(name).unicodeScalars {
            if ("0"..."9").contains(character) {
                digits.unicodeScalars.append(character)
            } else {
                flush()
                key.unicodeScalars.append(character)
            }
        }
        flush()
        return key
    }

    /// Byte order, which is SQLite's; Swift's own string order is another.
    static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
}
