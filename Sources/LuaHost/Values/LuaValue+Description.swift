extension LuaValue: CustomStringConvertible {
    /// The form that the value has in a Lua script, on one line: `{ 1, 2, name = "north" }`; functions and objects by name.
    public var description: String {
        switch self {
        case .nil: "nil"
        case .boolean(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let text): "\"\(Self.escaped(text.description))\""
        case .table(let table): table.description
        case .function(let function): function.hostName ?? "<function>"
        case .object(let object): object.description
        }
    }

    fileprivate static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case _ where scalar.value < 32 || scalar.value == 127:
                let digits = String(scalar.value)
                escaped += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

extension LuaTable: CustomStringConvertible {
    /// The form that the table has in a Lua script, on one line.
    public var description: String {
        let items = array.map(\.description) + fields.map { "\(Self.key($0.key)) = \($0.value)" }
        return items.isEmpty ? "{}" : "{ \(items.joined(separator: ", ")) }"
    }

    private static func key(_ key: LuaValue) -> String {
        guard let name = key.text, let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= first),
            name.utf8.allSatisfy({ isNameByte($0) })
        else { return "[\(key)]" }
        return name
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
