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
    /// What it takes, in words: type and unit, range, whether it must be given, and what holds when it is not.
    var summary: String {
        var words = [type.word(in: unit)]
        if let range { words.append(ArgumentDecoder.shown(range, of: type)) }
        if !isRequired { words.append("optional") }
        if let defaultText { words.append("default \(defaultText)") }
        if let otherwise { words.append("if left out: \(otherwise)") }
        return words.joined(separator: ", ")
    }

    /// The default value as Lua writes it; nil when there is none.
    var defaultText: String? {
        defaultValue.map { value in
            if case .table = value { "{}" } else { ArgumentDecoder.shown(value) }
        }
    }
}

/// A declared function with the text before its name: `recovery.`, `vault:`, or none for a global.
package struct DeclaredFunction: Sendable {
    package let prefix: String
    package let declaration: FunctionDeclaration
    /// The power that a run needs for it.
    package let power: Power?

    package var publicName: String { prefix + declaration.name }

    /// The declared errors, and that of a run without the power.
    package var errors: [ErrorDeclaration] {
        guard let power, !declaration.errors.contains(where: { $0.kind == "not-granted" }) else {
            return declaration.errors
        }
        return declaration.errors + [ErrorDeclaration("not-granted", "the run has no \(power.flag)")]
    }
}

extension LuaAPI {
    /// Every function, in the order of the reference.
    package static let functions: [DeclaredFunction] =
        plainGlobals.map { DeclaredFunction(prefix: "", declaration: $0, power: nil) }
        + poweredGlobals.map { DeclaredFunction(prefix: "", declaration: $0.function, power: $0.power) }
        + modules.flatMap { module in
            module.functions.map {
                DeclaredFunction(prefix: "\(module.name).", declaration: $0, power: module.power)
            }
        }
        + types.flatMap { type in
            type.methods.map { DeclaredFunction(prefix: "\(type.name):", declaration: $0, power: nil) }
        }
}
