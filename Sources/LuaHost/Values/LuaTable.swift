/// A copy of a Lua table: the values of keys 1...n in `array`, all other keys in `fields`.
///
/// Read from Lua, the fields stand in a fixed order: booleans, numbers, strings, objects, each by value. So the same
/// table always gives the same Swift value, and iterating it prints the same text.
public struct LuaTable: Hashable, Sendable {
    /// One key with its value.
    public struct Field: Hashable, Sendable {
        /// The key; never `nil`.
        public let key: LuaValue
        /// The value; never `nil`.
        public let value: LuaValue

        /// Makes a field.
        public init(key: LuaValue, value: LuaValue) {
            self.key = key
            self.value = value
        }
    }

    /// The values of keys 1, 2, 3 and so on, up to the first key that is missing.
    public var array: [LuaValue]
    /// The other keys with their values, in order.
    public private(set) var fields: [Field]

    /// Makes a table of an array part.
    public init(array: [LuaValue] = []) {
        self.array = array
        fields = []
    }

    /// Makes a table of fields with text keys, in the order given; those with a `nil` value are left out.
    public init(_ fields: KeyValuePairs<String, LuaValue>) {
        self.init()
        for (name, value) in fields where value != .nil {
            self.fields.append(Field(key: LuaValue(name), value: value))
        }
    }

    /// The field with a text key; `nil` when there is none, and to remove it.
    public subscript(name: String) -> LuaValue {
        get {
            let key = LuaValue(name)
            return fields.first { $0.key == key }?.value ?? .nil
        }
        set { set(LuaValue(name), to: newValue) }
    }

    /// Sets any key but the array part's; `nil` removes the key.
    public mutating func set(_ key: LuaValue, to value: LuaValue) {
        fields.removeAll { $0.key == key }
        if key != .nil, value != .nil { fields.append(Field(key: key, value: value)) }
    }

    /// Whether the table holds nothing.
    public var isEmpty: Bool { array.isEmpty && fields.isEmpty }

    /// The keys that are valid text, in order.
    public var names: [String] { fields.compactMap { $0.key.text } }

    /// Makes a table of parts that are known to be in order.
    package init(array: [LuaValue], fields: [Field]) {
        self.array = array
        self.fields = fields
    }
}
