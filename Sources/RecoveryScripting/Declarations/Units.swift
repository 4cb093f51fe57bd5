import LuaHost

/// Durations and sizes as people write them.
enum Units {
    private static let sizes: [(unit: String, bytes: Double)] = [
        ("B", 1), ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776),
        ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12),
    ]

    /// Seconds of a number or of text such as "30s"; nil when the value is neither.
    static func seconds(_ value: LuaValue) -> Double? {
        guard let duration = try? LuaDuration.parse(value, for: "") else { return nil }
        let (seconds, attoseconds) = duration.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }

    /// Bytes of a whole number or of text such as "4GiB"; nil when the value is neither.
    static func bytes(_ value: LuaValue) -> Int64? {
        guard let text = value.text else { return value.integer.flatMap { $0 >= 0 ? $0 : nil } }
        guard text.utf8.count <= 32 else { return nil }
        let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let unit = text.dropFirst(digits.count)
        guard digits.first != ".", digits.last != ".", let number = Double(digits),
            let factor = sizes.first(where: { $0.unit == unit })?.bytes
        else { return nil }
        return Int64(exactly: number * factor)
    }
}
