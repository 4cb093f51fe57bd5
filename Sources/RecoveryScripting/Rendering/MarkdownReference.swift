/// The reference page of the Lua API.
package enum MarkdownReference {
    package static var text: String {
        var parts = [
            """
            # Lua API

            <!-- Generated from the declarations in Sources/RecoveryScripting. Do not edit: a test compares. -->

            Options are given by name in one table; an unknown name is an error. Durations are `"30s"`, `"5min"`, `"2h"` or
            a number of seconds; sizes `"512MiB"`, `"4GiB"` or a number of bytes. Fields of objects are read
            from the vault or the site at each use. Errors are objects with `kind`, `message`, `hint`, `rule`, `object` and
            `where`. `help()` shows this page piece by piece, and `apropos("word")` searches it.

            \(Situation.names)
            """
        ]
        parts.append("## Globals")
        parts += functions(with: "").map(section)
        for module in LuaAPI.modules {
            parts.append("## Module `\(module.name)`\n\n\(module.doc)")
            parts += functions(with: "\(module.name).").map(section)
        }
        for type in LuaAPI.types {
            parts.append("## Object `\(type.name)`\n\n\(type.doc)")
            if !type.fields.isEmpty {
                parts.append(fields(type.fields.map { ($0.name, $0.type.word(in: $0.unit), $0.doc, $0.isOptional) }))
            }
            let own = own(type)
            parts += own.map(section)
            let names = Set(own.map(\.declaration.name))
            let shared = type.methods.map(\.name).filter { !names.contains($0) }
            if !shared.isEmpty {
                let words = shared.sorted().map { "`\($0)`" }.joined(separator: ", ")
                parts.append("Of the methods of `item` it has, as they are there: \(words).")
            }
        }
        parts.append("## Tables")
        for record in LuaAPI.records {
            parts.append(
                "### `\(record.name)`\n\n\(record.doc)\n\n"
                    + fields(record.fields.map { ($0.name, $0.type.word(in: $0.unit), $0.doc, $0.isOptional) }))
        }
        return parts.joined(separator: "\n\n") + "\n"
    }

    /// A type's methods, without those that are the same as `item` has.
    private static func own(_ type: TypeDeclaration) -> [DeclaredFunction] {
        let all = functions(with: "\(type.name):")
        guard type.name != "item" else { return all }
        let shared = Set(functions(with: "item:").map(face(of:)))
        return all.filter { !shared.contains(face(of: $0)) }
    }

    /// What a function is to its caller; of two types' functions of one face one page is enough.
    private static func face(of declared: DeclaredFunction) -> [String] {
        [declared.declaration.name, declared.declaration.doc] + declared.declaration.signatures(as: "")
    }

    private static func functions(with prefix: String) -> [DeclaredFunction] {
        LuaAPI.functions.filter { $0.prefix == prefix }
    }

    private static func fields(_ rows: [(String, String, String, Bool)]) -> String {
        (["| field | type | is |", "| --- | --- | --- |"]
            + rows.map { "| `\($0.0)` | \($0.1)\($0.3 ? " or nil" : "") | \($0.2) |" }).joined(separator: "\n")
    }

    private static func section(_ declared: DeclaredFunction) -> String {
        let (function, name) = (declared.declaration, declared.publicName)
        var parts = [
            "### `\(name)`", "```lua\n\(function.signatures(as: name).joined(separator: "\n"))\n```", function.doc,
        ]
        let parameters = function.positional + function.named
        if !parameters.isEmpty {
            parts.append(
                (["| argument | type | is |", "| --- | --- | --- |"]
                    + parameters.map { "| `\($0.name)` | \($0.summary) | \($0.doc) |" }).joined(separator: "\n"))
        }
        var facts = function.results.map {
            "- Returns \($0.type.word(in: $0.unit))\($0.isOptional ? " or nil" : ""): \($0.doc)."
        }
        facts += declared.errors.map { "- Error `\($0.kind)`: \($0.when)." }
        facts.append("- Effect: \(function.effect.rawValue). Since \(function.since).")
        parts.append(facts.joined(separator: "\n"))
        if let sentence = function.situation.sentence { parts.append(sentence) }
        parts.append("```lua\n\(function.example)\n```")
        return parts.joined(separator: "\n\n")
    }
}
