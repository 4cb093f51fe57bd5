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
    /// The numbers that are allowed, after durations and sizes are decoded.
    package let range: ClosedRange<Double>?

    /// An argument that must be given.
    package static func required(
        _ name: String, _ type: ValueType, _ doc: String, range: ClosedRange<Double>? = nil
    ) -> Parameter {
        Parameter(name: name, type: type, doc: doc, isRequired: true, defaultValue: nil, range: range)
    }

    /// An argument that may be left out.
    package static func optional(
        _ name: String, _ type: ValueType, _ doc: String, default value: LuaValue? = nil,
        range: ClosedRange<Double>? = nil
    ) -> Parameter {
        Parameter(name: name, type: type, doc: doc, isRequired: false, defaultValue: value, range: range)
    }
}
