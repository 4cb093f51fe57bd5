/// What completion knows of a value without looking at it: enough to say what may follow it.
package indirect enum Shape: Hashable, Sendable {
    /// An object of the API, by its type's name.
    case object(String)
    /// A plain table that the API returns, by its record's name.
    case record(String)
    case list(Shape)
    /// A module of the API.
    case module(String)
    /// A function of the API by its public name; nil for any other.
    case function(String?)
    /// A script's own table: its text keys.
    case table([String: Shape])
    case other

    /// What a value of a declared type looks like.
    init(_ type: ValueType) {
        switch type {
        case .object(let name): self = .object(name)
        case .record(let name): self = .record(name)
        case .list(let element): self = .list(Shape(element))
        case .function: self = .function(nil)
        // The first that has members: an item and a relationship have the same methods.
        case .either(let types): self = types.map(Shape.init).first { $0 != .other } ?? .other
        default: self = .other
        }
    }

    /// What `value.name` or `value:name` is.
    func member(_ name: String) -> Shape {
        switch self {
        case .object(let type):
            guard let declaration = LuaAPI.types.first(where: { $0.name == type }) else { return .other }
            if let field = declaration.fields.first(where: { $0.name == name }) { return Shape(field.type) }
            return declaration.methods.contains { $0.name == name } ? .function("\(type):\(name)") : .other
        case .record(let record):
            let fields = LuaAPI.records.first { $0.name == record }?.fields ?? []
            return fields.first { $0.name == name }.map { Shape($0.type) } ?? .other
        case .module(let module): return .function("\(module).\(name)")
        case .table(let members): return members[name] ?? .other
        case .list, .function, .other: return .other
        }
    }

    /// What calling it returns first.
    var result: Shape {
        guard case .function(let name?) = self,
            let function = LuaAPI.functions.first(where: { $0.publicName == name })
        else { return .other }
        return function.declaration.results.first.map { Shape($0.type) } ?? .other
    }

    /// What its elements are.
    var element: Shape { if case .list(let element) = self { element } else { .other } }
}

/// What a session knows beyond the declarations.
package struct CompletionScope: Sendable {
    /// Globals of the session.
    package var globals: [String: Shape]
    /// Names that the vault holds.
    package var names: [VaultName: [String]]

    package init(globals: [String: Shape] = [:], names: [VaultName: [String]] = [:]) {
        self.globals = globals
        self.names = names
    }
}
