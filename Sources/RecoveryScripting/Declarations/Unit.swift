/// What a number counts.
///
/// Every number that the API takes or returns declares one: a figure without its unit is a guess.
package enum Unit: String, Sendable, CaseIterable {
    case seconds
    case bytes
    /// An instant.
    case epochSeconds = "seconds since 1970"
    /// How many of the things that the name says.
    case count
    /// Which of several: a point's number, an epoch, an HTTP status, a TCP port.
    case ordinal = "number"
}

extension ValueType {
    /// Whether a value of it is a figure that means nothing without a unit.
    package var needsUnit: Bool {
        switch self {
        case .integer, .number: true
        case .list(let element), .map(let element): element.needsUnit
        case .either(let types): types.contains(where: \.needsUnit)
        default: false
        }
    }

    /// The type and the unit of its figures, in the words of help and reference.
    func word(in unit: Unit?) -> String {
        switch unit {
        case .seconds?, .bytes?, .epochSeconds?: "\(word) (\(unit?.rawValue ?? ""))"
        case .count?, .ordinal?, nil: word
        }
    }
}
