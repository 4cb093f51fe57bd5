import VaultStore

/// Bytes in the unit that reads best.
func bytes(_ count: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    var value = Double(count)
    var unit = 0
    while value >= 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return unit == 0 ? "\(count) B" : "\(figure(value)) \(units[unit])"
}

/// A figure with one digit behind the point.
func figure(_ value: Double) -> String {
    let tenths = (value * 10).rounded()
    guard tenths.magnitude < 1e15 else { return "\(value)" }
    return "\(Int64(tenths / 10)).\(Int64(tenths.magnitude) % 10)"
}

/// "a", "a and b", "a, b and c".
func listed(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "none" }
    return words.dropLast().joined(separator: ", ") + " and " + last
}

func isShared(_ fileSystem: String) -> Bool { FileSystemTypes.isShared(fileSystem) }
