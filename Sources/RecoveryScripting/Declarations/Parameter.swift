package import LuaHost

/// One argument of a function: its name, what it takes, and what holds when it is left out.
package struct Parameter: Sendable {
    package let name: String
    package let type: ValueType
    /// One phrase that says what it is.
    package let doc: String
    package let isRequired: Bool
    /// What is taken when it is left out; nil when that is for the function to say.
    package let defaultValue: LuaValue?
    /// What holds when it is left out and has no default value, as a phrase.
    package let otherwise: String?
    /// The numbers that are allowed, after durations and sizes are decoded.
    package let range: ClosedRange<Double>?
    /// What its figure counts; durations and sizes say so themselves.
    package let unit: Unit?
    /// What its text names, where the vault knows the names.
    package let names: VaultName?

    /// An argument that must be given.
    package static func required(
        _ name: String, _ type: ValueType, _ doc: String, unit: Unit? = nil, range: ClosedRange<Double>? = nil,
        names: VaultName? = nil
    ) -> Parameter {
        Parameter(
            name: name, type: type, doc: doc, isRequired: true, defaultValue: nil, otherwise: nil, range: range,
            unit: unit, names: names)
    }

    /// An argument that may be left out: then its default holds, or what `otherwise` says.
    package static func optional(
        _ name: String, _ type: ValueType, _ doc: String, default value: LuaValue? = nil, otherwise: String? = nil,
        unit: Unit? = nil, range: ClosedRange<Double>? = nil, names: VaultName? = nil
    ) -> Parameter {
        Parameter(
            name: name, type: type, doc: doc, isRequired: false, defaultValue: value, otherwise: otherwise,
            range: range, unit: unit, names: names)
    }
}
