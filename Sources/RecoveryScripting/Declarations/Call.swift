package import LuaHost

/// One call of a declared function: what it was called with, and what it works on.
package struct Call: Sendable {
    package let session: ScriptContext
    package let arguments: Arguments
    package let context: CallContext
    /// The call as the run's journal knows it; nil where the run keeps none.
    var step: StepCall?

    /// What messages begin with: the function's name as the script writes it.
    var name: String { ArgumentDecoder.shortName(of: context.function) }

    /// The object whose method or field it is.
    ///
    /// Asking for it in a function that is no method is a programmer's mistake.
    var receiver: LuaObject {
        guard let receiver = arguments.receiver else { fatalError("\(context.function) has no receiver") }
        return receiver
    }
}

/// Decoded arguments: checked against the declaration, so that reading one by its declared type cannot fail.
package struct Arguments: Sendable, Equatable {
    let function: String
    var receiver: LuaObject?
    /// True when the function was called in its look-up form.
    var isLookup = false
    private var values: [String: LuaValue] = [:]

    /// All arguments that were given or have a default, by name.
    var given: [String: LuaValue] { values }

    init(function: String, receiver: LuaObject? = nil) {
        self.function = function
        self.receiver = receiver
    }

    /// The value of an argument; nil when it was left out and has no default.
    package subscript(name: String) -> LuaValue? {
        get { values[name] }
        set { values[name] = newValue }
    }

    package func text(_ name: String) -> String { need(name, values[name]?.text) }
    package func number(_ name: String) -> Double { need(name, values[name]?.number) }
    package func integer(_ name: String) -> Int { need(name, values[name]?.integer.map(Int.init)) }
    package func object(_ name: String) -> LuaObject { need(name, values[name]?.object) }

    package func optionalText(_ name: String) -> String? { values[name]?.text }
    package func optionalNumber(_ name: String) -> Double? { values[name]?.number }
    package func optionalInteger(_ name: String) -> Int? { values[name]?.integer.map(Int.init) }
    package func optionalBoolean(_ name: String) -> Bool? { values[name]?.boolean }
    package func texts(_ name: String) -> [String]? { values[name]?.table?.array.compactMap(\.text) }
    package func objects(_ name: String) -> [LuaObject]? { values[name]?.table?.array.compactMap(\.object) }
    package func textsByName(_ name: String) -> [String: String]? {
        values[name]?.table.map { table in
            Dictionary(
                table.fields.compactMap { field in
                    if let key = field.key.text, let value = field.value.text { (key, value) } else { nil }
                }, uniquingKeysWith: { first, _ in first })
        }
    }

    private func need<Value>(_ name: String, _ value: Value?) -> Value {
        guard let value else { fatalError("\(function) reads '\(name)', which it does not declare as it is read") }
        return value
    }
}
