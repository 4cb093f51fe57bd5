/// A plan as plain data: what a script's table, an imported file and an exported one have in common.
///
/// One reader of it says what is wrong with a plan, wherever the plan comes from.
package indirect enum PlanValue: Hashable, Sendable {
    case null
    case boolean(Bool)
    case number(Double)
    case text(String)
    case list([PlanValue])
    case table([String: PlanValue])

    /// The value as a message shows it: short, and never a whole table.
    package var shown: String {
        switch self {
        case .null: "nothing"
        case .boolean(let value): "\(value)"
        case .number(let value): Self.shown(value)
        case .text(let text): text.count > 60 ? "\"\(text.prefix(57))...\"" : "\"\(text)\""
        case .list: "a list"
        case .table: "a table"
        }
    }

    /// A number without a needless fraction.
    package static func shown(_ number: Double) -> String { Int64(exactly: number).map { "\($0)" } ?? "\(number)" }
}

/// JSON text that compares well line by line: keys in order, one value a line, a newline at the end.
package enum PlanText {
    package static func json(_ value: PlanValue) -> String {
        var text = ""
        write(value, indent: "", to: &text)
        return text + "\n"
    }

    private static func write(_ value: PlanValue, indent: String, to text: inout String) {
        switch value {
        case .null: text += "null"
        case .boolean(let value): text += "\(value)"
        case .number(let value): text += PlanValue.shown(value)
        case .text(let value): text += quoted(value)
        case .list(let items):
            writeItems(items.map { (nil, $0) }, brackets: ("[", "]"), indent: indent, to: &text)
        case .table(let fields):
            let sorted = fields.sorted { $0.key < $1.key }.map { (Optional($0.key), $0.value) }
            writeItems(sorted, brackets: ("{", "}"), indent: indent, to: &text)
        }
    }

    private static func writeItems(
        _ items: [(key: String?, value: PlanValue)], brackets: (String, String), indent: String, to text: inout String
    ) {
        guard !items.isEmpty else { return text += brackets.0 + brackets.1 }
        let inner = indent + "  "
        text += brackets.0 + "\n"
        for (index, item) in items.enumerated() {
            text += inner
            if let key = item.key { text += quoted(key) + ": " }
            write(item.value, indent: inner, to: &text)
            text += index == items.count - 1 ? "\n" : ",\n"
        }
        text += indent + brackets.1
    }

    private static func quoted(_ text: String) -> String {
        var literal = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": literal += "\\\""
            case "\\": literal += "\\\\"
            case "\n": literal += "\\n"
            case "\t": literal += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let digits = String(scalar.value, radix: 16)
                literal += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: literal.unicodeScalars.append(scalar)
            }
        }
        return literal + "\""
    }
}
