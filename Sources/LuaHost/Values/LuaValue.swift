/// A Lua value as Swift sees it: plain data, functions and objects by reference.
///
/// A value holds no pointer into a Lua state, so it may cross tasks, be stored and be compared. Tables are copies.
public enum LuaValue: Hashable, Sendable {
    case `nil`
    case boolean(Bool)
    case integer(Int64)
    case number(Double)
    /// The bytes exactly as Lua holds them; use ``LuaValue/init(_:)-(String)`` or a literal to make one from text.
    case string(LuaString)
    case table(LuaTable)
    /// A Lua function that stays inside its state.
    case function(LuaFunction)
    /// A handle to something that lives in the host.
    case object(LuaObject)
}

/// A reference to a function inside a Lua state; valid in that state, for as long as Lua keeps the function alive.
public struct LuaFunction: Hashable, Sendable {
    /// A number that stands for the function within its state.
    public let id: UInt64
    /// The public name, such as `"task.map"`, when the function is one of the host's own.
    public let hostName: String?

    package init(id: UInt64, hostName: String?) {
        self.id = id
        self.hostName = hostName
    }
}

/// A handle to a host object: the name of its ``ObjectType`` and the identity within that type.
///
/// Two handles with the same type and id are the same object to Lua too, also as a table key.
public struct LuaObject: Hashable, Sendable, CustomStringConvertible {
    /// The name under which the ``ObjectType`` was registered.
    public let type: String
    /// The identity within the type: any text, up to 4,096 bytes.
    public let id: String

    /// Makes a handle; the type must be registered with the state that receives it.
    public init(type: String, id: String) {
        self.type = type
        self.id = id
    }

    /// The form that `tostring` shows when the type has none of its own, such as `vm<orders>`.
    public var description: String { "\(type)<\(id)>" }
}

extension LuaValue {
    /// Makes a string value from text.
    public init(_ text: String) { self = .string(LuaString(text)) }

    /// Makes a string value from text, or nil.
    public init(_ text: String?) { self = text.map { .string(LuaString($0)) } ?? .nil }

    /// Makes an integer value.
    public init(_ value: Int) { self = .integer(Int64(value)) }

    /// Makes a table value.
    public init(_ table: LuaTable) { self = .table(table) }

    /// Makes a list: a table with only an array part.
    public static func list(_ values: [LuaValue]) -> LuaValue { .table(LuaTable(array: values)) }

    /// Whether the value is `nil`.
    public var isNil: Bool { self == .nil }

    /// Lua's truth: everything but `nil` and `false`.
    public var isTruthy: Bool {
        switch self {
        case .nil, .boolean(false): false
        default: true
        }
    }

    /// The text of a string value whose bytes are valid UTF-8.
    public var text: String? {
        if case .string(let string) = self { string.text } else { nil }
    }

    /// The value of a boolean.
    public var boolean: Bool? {
        if case .boolean(let value) = self { value } else { nil }
    }

    /// The value of an integer, or of a number with no fraction that an integer can hold.
    public var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// The value of an integer or number.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The table of a table value.
    public var table: LuaTable? {
        if case .table(let table) = self { table } else { nil }
    }

    /// The handle of an object value.
    public var object: LuaObject? {
        if case .object(let object) = self { object } else { nil }
    }

    /// The word Lua's users know the kind of value by; an object is called by its type's name.
    public var typeName: String {
        switch self {
        case .nil: "nil"
        case .boolean: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .string: "string"
        case .table: "table"
        case .function: "function"
        case .object(let object): object.type
        }
    }
}

extension LuaValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// Makes a string value.
    public init(stringLiteral value: String) { self.init(value) }
    /// Makes an integer value.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// Makes a number value.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// Makes a boolean value.
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
    /// Makes `nil`.
    public init(nilLiteral: ()) { self = .nil }
    /// Makes a list.
    public init(arrayLiteral elements: LuaValue...) { self = .list(elements) }
    /// Makes a table with the fields in the order written; fields whose value is nil are left out.
    public init(dictionaryLiteral elements: (LuaValue, LuaValue)...) {
        var table = LuaTable()
        for (key, value) in elements { table.set(key, to: value) }
        self = .table(table)
    }
}
