/// A Lua string: any bytes, kept exactly.
public struct LuaString: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The bytes as Lua holds them; they need not be valid UTF-8 and may contain zeros.
    public let bytes: [UInt8]

    /// Makes a string of the given bytes.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// Makes a string of the UTF-8 form of the text.
    public init(_ text: String) { bytes = Array(text.utf8) }

    /// Makes a string of the UTF-8 form of the literal.
    public init(stringLiteral value: String) { self.init(value) }

    /// The text, or nil when the bytes are not valid UTF-8.
    public var text: String? { String(validating: bytes, as: UTF8.self) }

    /// The text, with U+FFFD in the place of what is not valid UTF-8.
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}
