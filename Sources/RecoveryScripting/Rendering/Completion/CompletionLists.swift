/// Candidates by the place they are offered at, before what is typed narrows them.
enum CompletionLists {
    typealias Candidate = Completion.Candidate

    static func fields(of shape: Shape) -> [Candidate] {
        switch shape {
        case .object(let type):
            (LuaAPI.types.first { $0.name == type }?.fields ?? []).map {
                Candidate($0.name, HelpText.line($0.doc, $0.type, $0.unit, $0.isOptional))
            }
        case .record(let record):
            (LuaAPI.records.first { $0.name == record }?.fields ?? []).map {
                Candidate($0.name, HelpText.line($0.doc, $0.type, $0.unit, $0.isOptional))
            }
        case .module(let module):
            (LuaAPI.modules.first { $0.name == module }?.functions ?? []).map { Candidate($0.name, $0.doc) }
        case .table(let members):
            members.keys.filter(isName).sorted().map { Candidate($0, "") }
        case .list, .function, .other: []
        }
    }

    static func methods(of shape: Shape) -> [Candidate] {
        switch shape {
        case .object(let type):
            (LuaAPI.types.first { $0.name == type }?.methods ?? []).map { Candidate($0.name, $0.doc) }
        case .table(let members):
            members.filter { if case .function = $0.value { isName($0.key) } else { false } }.keys.sorted()
                .map { Candidate($0, "") }
        case .record, .module, .list, .function, .other: []
        }
    }

    /// Modules and functions of the API and the session's own variables; Lua's own names once a letter is typed.
    static func globals(_ scope: CompletionScope, showsAll: Bool) -> [Candidate] {
        var docs: [String: String] = [:]
        for (name, shape) in scope.globals where isName(name) {
            switch shape {
            case .object(let type): docs[name] = type
            case .list(.object(let type)): docs[name] = "list of \(type)"
            default: if showsAll { docs[name] = "" }
            }
        }
        for module in LuaAPI.modules { docs[module.name] = module.doc }
        for function in LuaAPI.globals { docs[function.name] = function.doc }
        if showsAll { for word in ShapeInference.keywords { docs[word] = "" } }
        return docs.sorted { $0.key < $1.key }.map { Candidate($0.key, $0.value) }
    }

    /// Words that a parameter may be given.
    static func words(for parameter: Parameter, _ scope: CompletionScope) -> [String] {
        switch parameter.names {
        case .topic?: HelpText.topics
        case let names?: scope.names[names] ?? []
        case nil: parameter.type.choices
        }
    }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return !ShapeInference.keywords.contains(text)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x5f
            }
    }
}
