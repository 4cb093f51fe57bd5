import LuaHost
import SiteModel

/// Turns what a script passed into what a declaration asks for, or says exactly what is wrong.
struct ArgumentDecoder {
    /// Public name of the function ("item:failover"), for messages.
    let function: String
    let declaration: FunctionDeclaration

    /// Decodes the values of one call; as a method's, without the object.
    func decode(_ given: [LuaValue], receiver: LuaObject?) throws(LuaError) -> Arguments {
        var values = given
        while values.last == .nil { values.removeLast() }
        var arguments = Arguments(function: function, receiver: receiver)
        if let lookup = declaration.lookup, values.count == 1, values[0].table == nil {
            arguments[lookup.name] = try decode(values[0], lookup.type, lookup.name, lookup)
            arguments.isLookup = true
            return arguments
        }
        try checkCount(values)
        for (index, parameter) in declaration.positional.enumerated() {
            try take(index < values.count ? values[index] : .nil, as: parameter, into: &arguments)
        }
        guard !declaration.named.isEmpty else { return arguments }
        let table = try namedTable(values.dropFirst(declaration.positional.count).first ?? .nil)
        for parameter in declaration.named { try take(table[parameter.name], as: parameter, into: &arguments) }
        return arguments
    }

    private func checkCount(_ values: [LuaValue]) throws(LuaError) {
        let most = declaration.positional.count + (declaration.named.isEmpty ? 0 : 1)
        guard values.count > most else { return }
        throw problem(
            "takes \(most == 0 ? "no arguments" : most == 1 ? "one argument" : "\(most) arguments"), got \(values.count)",
            hint: "call it as \(declaration.signature(as: function))")
    }

    /// The table of named arguments, with every key one that is declared.
    private func namedTable(_ value: LuaValue) throws(LuaError) -> LuaTable {
        if value == .nil { return LuaTable() }
        guard let table = value.table, table.array.isEmpty else {
            throw problem(
                "takes its options by name, got \(Self.shown(value))",
                hint: "call it as \(declaration.signature(as: function))")
        }
        let known = declaration.named.map(\.name)
        for field in table.fields {
            guard let name = field.key.text, known.contains(name) else {
                if let name = field.key.text, declaration.positional.contains(where: { $0.name == name }) {
                    throw problem(
                        "'\(name)' is given by position, and a second time by name",
                        hint: "call it as \(declaration.signature(as: function))")
                }
                let word = field.key.text ?? Self.shown(field.key)
                let nearest = Nearest.suggestion(for: word, among: known)
                throw problem(
                    "has no option '\(word)'",
                    hint: nearest.map { "did you mean '\($0)'?" } ?? "it takes: \(known.joined(separator: ", "))")
            }
        }
        return table
    }

    private func take(
        _ value: LuaValue, as parameter: Parameter, into arguments: inout Arguments
    ) throws(LuaError) {
        if value == .nil {
            if parameter.isRequired {
                throw problem(
                    "'\(parameter.name)' is missing; it must be \(parameter.type.phrase)",
                    hint: "call it as \(declaration.signature(as: function))")
            }
            guard let value = parameter.defaultValue else { return }
            arguments[parameter.name] = try decode(value, parameter.type, parameter.name, parameter)
        } else {
            arguments[parameter.name] = try decode(value, parameter.type, parameter.name, parameter)
        }
    }

    // MARK: One value

    private func decode(
        _ value: LuaValue, _ type: ValueType, _ path: String, _ parameter: Parameter
    ) throws(LuaError) -> LuaValue {
        guard let decoded = try convert(value, type, path, parameter) else {
            var hint: String?
            if let text = value.text {
                hint = Nearest.suggestion(for: text, among: type.choices).map { "did you mean \"\($0)\"?" }
            }
            throw problem("'\(path)' must be \(type.phrase), got \(Self.shown(value))", hint: hint)
        }
        if let range = parameter.range, let number = decoded.number, !range.contains(number) {
            throw problem("'\(path)' must be \(Self.shown(range, of: type)), got \(Self.shown(value))")
        }
        return decoded
    }

    /// The value as the type has it; no value when it is of another type.
    ///
    /// A bare `nil` beside a value would mean Lua's nil, so no conditional expression gives one here.
    private func convert(
        _ value: LuaValue, _ type: ValueType, _ path: String, _ parameter: Parameter
    ) throws(LuaError) -> LuaValue? {
        switch type {
        case .any: return value
        case .boolean: return value.boolean.map { .boolean($0) }
        case .integer: return (value.integer ?? value.text.flatMap { Int64($0) }).map { .integer($0) }
        case .number: return value.number.flatMap { $0.isFinite ? .some(.number($0)) : .none }
        case .text: return value.text.map { LuaValue($0) }
        case .choice(let words): return Self.choose(value, words)
        case .duration: return Units.seconds(value).map { .number($0) }
        case .size: return Units.bytes(value).map { .integer($0) }
        case .object(let name): return value.object.flatMap { $0.type == name ? .some(value) : .none }
        case .record: return value.table.map { .table($0) }
        case .function: if case .function = value { return value } else { return .none }
        case .list(let element):
            guard let table = value.table, table.fields.isEmpty else { return .none }
            var items: [LuaValue] = []
            for (index, item) in table.array.enumerated() {
                items.append(try decode(item, element, "\(path)[\(index + 1)]", parameter))
            }
            return .list(items)
        case .map(let element):
            guard let table = value.table, table.array.isEmpty else { return .none }
            var map = LuaTable()
            for field in table.fields {
                guard let key = field.key.text else { return .none }
                map[key] = try decode(field.value, element, "\(path)[\"\(key)\"]", parameter)
            }
            return .table(map)
        case .either(let types):
            for type in types {
                if let found = try convert(value, type, path, parameter) { return found }
            }
            return .none
        }
    }

    private static func choose(_ value: LuaValue, _ words: [String]) -> LuaValue? {
        guard let text = value.text else { return .none }
        if words.contains(text) { return value }
        let hyphenated = String(text.map { $0 == "_" ? "-" : $0 })
        return words.contains(hyphenated) ? .some(LuaValue(hyphenated)) : .none
    }

    // MARK: Messages

    private func problem(_ text: String, hint: String? = nil) -> LuaError {
        LuaError(.argument, "\(Self.shortName(of: function)): \(text)", hint: hint)
    }

    /// A value as a message shows it: short, and never a whole table.
    static func shown(_ value: LuaValue) -> String {
        switch value {
        case .nil: "nothing"
        case .boolean(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value):
            value.bytes.count > 60 ? "\"\(value.description.prefix(57))...\"" : "\"\(value)\""
        case .table: "a table"
        case .function: "a function"
        case .object(let object): "a \(object.type)"
        }
    }

    /// The name that a message begins with: a method's without its type, as the script writes it.
    static func shortName(of function: String) -> String {
        function.split(separator: ":").last.map(String.init) ?? function
    }

    /// A range as messages and reference show it, with the unit that text of the type is decoded to.
    static func shown(_ range: ClosedRange<Double>, of type: ValueType) -> String {
        func text(_ number: Double) -> String { Int64(exactly: number).map { "\($0)" } ?? "\(number)" }
        let unit =
            switch type {
            case .duration: " seconds"
            case .size: " bytes"
            default: ""
            }
        return "\(text(range.lowerBound)) to \(text(range.upperBound))\(unit)"
    }
}
