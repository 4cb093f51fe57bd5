import LuaHost

/// How a function is called, in one line.
extension FunctionDeclaration {
    /// Such as `item:failover{kind=, [point=], [source=]}` or `gold:vm(name)`.
    func signature(as call: String) -> String {
        if positional.isEmpty, !named.isEmpty { return call + "{\(namedWords)}" }
        var words = positional.map { $0.isRequired ? $0.name : "[\($0.name)]" }
        if !named.isEmpty { words.append("{\(namedWords)}") }
        return call + "(\(words.joined(separator: ", ")))"
    }

    /// All the ways to call it: the look-up form comes second.
    func signatures(as call: String) -> [String] {
        [signature(as: call)] + (lookup.map { ["\(call)(\($0.name))"] } ?? [])
    }

    private var namedWords: String {
        named.map { $0.isRequired ? "\($0.name)=" : "[\($0.name)=]" }.joined(separator: ", ")
    }
}

extension Parameter {
    /// What it takes, in words: type, whether it must be given, default, range.
    var summary: String {
        var words = type.word
        if !isRequired { words += ", optional" }
        if let defaultValue {
            switch defaultValue {
            case .table: break
            default: words += ", default \(ArgumentDecoder.shown(defaultValue))"
            }
        }
        return words
    }
}

/// A declared function with the text before its name: `recovery.`, `vault:`, or none for a global.
package struct DeclaredFunction: Sendable {
    package let prefix: String
    package let declaration: FunctionDeclaration

    package var publicName: String { prefix + declaration.name }
}

extension LuaAPI {
    /// Every function, in the order of the reference.
    package static let functions: [DeclaredFunction] =
        globals.map { DeclaredFunction(prefix: "", declaration: $0) }
        + modules.flatMap { module in
            module.functions.map { DeclaredFunction(prefix: "\(module.name).", declaration: $0) }
        }
        + types.flatMap { type in
            type.methods.map { DeclaredFunction(prefix: "\(type.name):", declaration: $0) }
        }
}
