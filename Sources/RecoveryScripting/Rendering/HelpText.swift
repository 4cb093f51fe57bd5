import SiteModel

/// What `help()` prints.
package enum HelpText {
    /// The overview: functions, modules, objects, and how to go on.
    package static var overview: String {
        var lines = ["Functions"]
        lines += LuaAPI.globals.map { "  \(pad($0.name, 14)) \($0.doc)" }
        lines += ["", "Modules"]
        lines += LuaAPI.modules.map { "  \(pad($0.name, 14)) \($0.doc)" }
        lines += ["", "Objects"]
        lines += LuaAPI.types.map { "  \(pad($0.name, 14)) \($0.doc)" }
        lines += [
            "",
            "help(\"vault\") lists a module or an object, help(\"vault:host\") or help(recovery.log) explains a function,",
            "help(\"failover\") lists all that is called so, apropos(\"point\") finds what a word occurs in.",
        ]
        return lines.joined(separator: "\n")
    }

    /// Help on a module, an object type, a record or a function; nil when there is none of that name.
    ///
    /// A bare name such as "failover" finds the methods, functions and fields that are called so.
    package static func text(for topic: String) -> String? {
        guard let text = whole(topic) else { return members(called: topic) }
        let more = members(called: topic, isAside: true)
        return more.map { text + "\n\n" + $0 } ?? text
    }

    /// Help on what has exactly that public name.
    private static func whole(_ topic: String) -> String? {
        if let module = LuaAPI.modules.first(where: { $0.name == topic }) { return text(module) }
        if let type = LuaAPI.types.first(where: { $0.name == topic }) { return text(type) }
        if let record = LuaAPI.records.first(where: { $0.name == topic }) { return text(record) }
        let dotted = topic.replacing(".", with: ":")
        let function = LuaAPI.functions.first {
            $0.publicName == topic || $0.publicName.replacing(".", with: ":") == dotted
        }
        return function.map(text)
    }

    /// All that is called so within modules, objects and records, each with its owner; nil when there is nothing.
    ///
    /// A function that is the only one is explained at once, unless the list stands beside other help.
    private static func members(called name: String, isAside: Bool = false) -> String? {
        let functions = LuaAPI.functions.filter { $0.declaration.name == name && !$0.prefix.isEmpty }
        let fields =
            LuaAPI.types.flatMap { type in
                type.fields.filter { $0.name == name }.map { ("\(type.name).\($0.name)", $0.doc) }
            }
            + LuaAPI.records.flatMap { record in
                record.fields.filter { $0.name == name }.map { ("\(record.name).\($0.name)", $0.doc) }
            }
        if !isAside, fields.isEmpty, functions.count == 1, let only = functions.first { return text(only) }
        let rows = functions.map { ($0.publicName, $0.declaration.doc) } + fields
        guard !rows.isEmpty else { return nil }
        let width = rows.map(\.0.count).max() ?? 0
        var lines = [isAside ? "Also called \(name)" : "\(name) is found as"]
        lines += rows.map { "  \(pad($0.0, width)) \($0.1)" }
        if let first = functions.first { lines += ["", "help(\"\(first.publicName)\") explains it."] }
        return lines.joined(separator: "\n")
    }

    /// Names that `help` knows, for "did you mean".
    package static var topics: [String] {
        LuaAPI.modules.map(\.name) + LuaAPI.types.map(\.name) + LuaAPI.records.map(\.name)
            + LuaAPI.functions.map(\.publicName)
    }

    /// Bare names of functions and methods.
    static var memberNames: [String] { LuaAPI.functions.map(\.declaration.name) }

    private static func text(_ module: ModuleDeclaration) -> String {
        var lines = ["\(module.name): \(module.doc)", ""]
        lines += module.functions.map { "  \($0.signature(as: "\(module.name).\($0.name)"))\n      \($0.doc)" }
        return lines.joined(separator: "\n")
    }

    private static func text(_ type: TypeDeclaration) -> String {
        var lines = ["\(type.name): \(type.doc)"]
        if !type.fields.isEmpty { lines += ["", "Fields"] }
        lines += type.fields.map {
            "  \(pad($0.name, 18)) \(line($0.doc, $0.type, $0.unit, $0.isOptional))"
        }
        if !type.methods.isEmpty { lines += ["", "Methods"] }
        lines += type.methods.map { "  \($0.signature(as: "\(type.name):\($0.name)"))\n      \($0.doc)" }
        return lines.joined(separator: "\n")
    }

    private static func text(_ record: RecordDeclaration) -> String {
        var lines = ["\(record.name): \(record.doc)", ""]
        lines += record.fields.map {
            "  \(pad($0.name, 18)) \(line($0.doc, $0.type, $0.unit, $0.isOptional))"
        }
        return lines.joined(separator: "\n")
    }

    private static func text(_ function: DeclaredFunction) -> String {
        let declaration = function.declaration
        var lines = declaration.signatures(as: function.publicName)
        lines += ["  \(declaration.doc)"]
        let parameters = declaration.positional + declaration.named
        if !parameters.isEmpty { lines += ["", "Arguments"] }
        lines += parameters.map { "  \(pad($0.name, 18)) \($0.doc) (\($0.summary))" }
        if !declaration.results.isEmpty { lines += ["", "Returns"] }
        lines += declaration.results.map {
            "  \(pad($0.name, 18)) \(line($0.doc, $0.type, $0.unit, $0.isOptional))"
        }
        if !function.errors.isEmpty { lines += ["", "Errors"] }
        lines += function.errors.map { "  \(pad($0.kind, 18)) \($0.when)" }
        lines += ["", "Effect: \(declaration.effect.rawValue). Since \(declaration.since).", "", "Example"]
        if let sentence = declaration.situation.sentence { lines.append("  -- \(sentence)") }
        lines += declaration.example.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }
        return lines.joined(separator: "\n")
    }

    /// What a field or result is, with type and unit.
    static func line(_ doc: String, _ type: ValueType, _ unit: Unit?, _ isOptional: Bool) -> String {
        "\(doc) (\(type.word(in: unit))\(isOptional ? " or nil" : ""))"
    }

    static func pad(_ word: String, _ width: Int) -> String {
        word + String(repeating: " ", count: max(0, width - word.count))
    }
}
