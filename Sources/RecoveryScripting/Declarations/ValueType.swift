/// What a parameter takes or a result is, in the words of scripts.
///
/// Argument checks, help, reference and editor types are all read from it.
package indirect enum ValueType: Hashable, Sendable {
    case any
    case boolean
    case integer
    case number
    case text
    /// One of these words. In what is given, `_` stands for `-` as well.
    case choice([String])
    /// Seconds as a number, or text such as `"30s"`, `"5min"`, `"2h"`; decoded to seconds.
    case duration
    /// Bytes as an integer, or text such as `"4GiB"`; decoded to bytes.
    case size
    /// A handle of that object type.
    case object(String)
    /// A plain table with the fields of that record.
    case record(String)
    case list(ValueType)
    /// A plain table from text to values of one type.
    case map(ValueType)
    case function
    case either([ValueType])

    /// What a message says after "must be".
    var phrase: String {
        switch self {
        case .any: "a value"
        case .boolean: "true or false"
        case .integer: "an integer"
        case .number: "a number"
        case .text: "text"
        case .choice(let words): Self.alternatives(words.map { "\"\($0)\"" })
        case .duration: "a duration such as \"30s\", \"5min\" or \"2h\", or a number of seconds"
        case .size: "a size such as \"512MiB\" or \"4GiB\", or a number of bytes"
        case .object(let type): "a \(type)"
        case .record(let name): "a table as \(name) describes it"
        case .list(let element): "a list in which each is \(element.phrase)"
        case .map(let value): "a table from text to \(value.phrase)"
        case .function: "a function"
        case .either(let types): Self.alternatives(types.map(\.phrase))
        }
    }

    /// The short form of help and reference.
    var word: String {
        switch self {
        case .any: "any"
        case .boolean: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .text: "string"
        case .choice(let words): words.map { "\"\($0)\"" }.joined(separator: " or ")
        case .duration: "duration"
        case .size: "size"
        case .object(let type): type
        case .record(let name): name
        case .list(let element): "list of \(element.word)"
        case .map(let value): "table of \(value.word) by name"
        case .function: "function"
        case .either(let types): types.map(\.word).joined(separator: " or ")
        }
    }

    /// The words that it takes, where it takes some of a fixed set.
    package var choices: [String] {
        switch self {
        case .choice(let words): words
        case .either(let types): types.flatMap(\.choices)
        default: []
        }
    }

    private static func alternatives(_ words: [String]) -> String {
        guard let last = words.last, words.count > 1 else { return words.first ?? "nothing" }
        return words.dropLast().joined(separator: ", ") + " or " + last
    }
}
