/// A field that holds a value outside what is allowed: the field, what was given, and what is allowed.
package struct FieldViolation: Error, Hashable, Sendable, CustomStringConvertible {
    /// Name of the field, as scripts write it ("copy_frequency").
    package let field: String
    /// The value, as a person would write it; empty when it is missing.
    package let given: String
    /// What is allowed, as the end of a sentence ("1 to 12 hours").
    package let allowed: String
    /// What is wrong, with the values that are allowed: one sentence.
    package let sentence: String

    package init(field: String, given: String, allowed: String, sentence: String) {
        self.field = field
        self.given = given
        self.allowed = allowed
        self.sentence = sentence
    }

    /// The usual sentence of field, value and what is allowed.
    package init(_ field: String, given: String, allowed: String) {
        let shown = given.isEmpty ? "is missing" : "is \(given)"
        self.init(field: field, given: given, allowed: allowed, sentence: "\(field) \(shown); allowed: \(allowed).")
    }

    package var description: String { sentence }
}

/// A violation in a policy; reference, table 1.10.
package typealias PolicyViolation = FieldViolation

/// A value that can say what is wrong with it, apart from everything else that exists.
package protocol Checkable {
    /// Everything that is wrong; empty when the value may be used.
    var violations: [FieldViolation] { get }
}

/// Checks that many objects share.
package enum FieldCheck {
    /// The longest name, in characters.
    package static let longestName = 128
    private static let longestPath = 1000

    /// A name: printable, without `/` (names are joined to paths of names), and of sensible length.
    package static func name(_ value: String, _ field: String = "name") -> FieldViolation? {
        let printable = value.unicodeScalars.allSatisfy { $0 != "/" && $0.properties.generalCategory != .control }
        guard value.isEmpty || value.count > longestName || !printable else { return nil }
        return FieldViolation(
            field, given: shown(value), allowed: "1 to \(longestName) characters, no '/' and no control characters")
    }

    /// An absolute path without `.` or `..` in it.
    package static func path(_ value: String, _ field: String) -> FieldViolation? {
        let parts = value.split(separator: "/")
        let plain =
            value.hasPrefix("/") && !parts.isEmpty && value.utf8.count <= longestPath && !parts.contains(".")
            && !parts.contains("..") && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
        return plain
            ? nil
            : FieldViolation(
                field, given: shown(value),
                allowed: "an absolute path without '.' or '..' in it, at most \(longestPath) bytes")
    }

    /// Text without control characters, not empty and not endless.
    package static func text(_ value: String, _ field: String, longest: Int = 1000) -> FieldViolation? {
        let plain = value.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        guard value.isEmpty || value.count > longest || !plain else { return nil }
        return FieldViolation(
            field, given: shown(value), allowed: "1 to \(longest) characters, none a control character")
    }

    /// `host:port`.
    package static func endpoint(_ value: String, _ field: String) -> FieldViolation? {
        let allowed = "host:port with a port of 1 to 65535"
        guard let colon = value.lastIndex(of: ":"), colon != value.startIndex,
            let port = Int(value[value.index(after: colon)...]), (1...65_535).contains(port),
            value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x2f })
        else { return FieldViolation(field, given: shown(value), allowed: allowed) }
        return nil
    }

    /// A list in which nothing stands twice; the violation names the first that does.
    package static func distinct(_ values: [String], _ field: String) -> FieldViolation? {
        var seen: Set<String> = []
        guard let twice = values.first(where: { !seen.insert($0).inserted }) else { return nil }
        return FieldViolation(field, given: "\(twice) twice", allowed: "each once")
    }

    /// A value as a message shows it: in quotes, short, control characters escaped.
    package static func shown(_ value: String) -> String {
        value.isEmpty ? "" : String(value.prefix(80)).debugDescription
    }
}
