/// What `apropos` finds: everything in whose name or words a word occurs.
package enum HelpSearch {
    /// One line each, names that hold the word first; empty when nothing does.
    package static func lines(for word: String) -> [String] {
        let wanted = word.lowercased()
        var named: [(String, String)] = []
        var told: [(String, String)] = []
        for (name, doc, more) in entries {
            if name.lowercased().contains(wanted) {
                named.append((name, doc))
            } else if (doc + " " + more).lowercased().contains(wanted) {
                told.append((name, doc))
            }
        }
        let found = named + told
        let width = min(28, found.map(\.0.count).max() ?? 0)
        return found.map { "  \(HelpText.pad($0.0, width)) \($0.1)" }
    }

    /// Name, doc, and what else is searched.
    private static var entries: [(String, String, String)] {
        let modules = LuaAPI.modules.map { ($0.name, $0.doc, "") }
        let types = LuaAPI.types.flatMap { type in
            [(type.name, type.doc, "")] + type.fields.map { ("\(type.name).\($0.name)", "\($0.doc)", "") }
        }
        let records = LuaAPI.records.flatMap { record in
            [(record.name, record.doc, "")] + record.fields.map { ("\(record.name).\($0.name)", "\($0.doc)", "") }
        }
        // What items, relationships and VMs have in common is found once.
        let shared = Set(ItemObject.type.methods.map(\.name))
        let functions = LuaAPI.functions.filter { function in
            !(["vm:", "relationship:"].contains(function.prefix) && shared.contains(function.declaration.name))
        }
        return modules + types
            + functions.map { function in
                let declaration = function.declaration
                let words = (declaration.positional + declaration.named).map { "\($0.name) \($0.doc)" }
                return (function.publicName, declaration.doc, words.joined(separator: " "))
            } + records
    }
}
