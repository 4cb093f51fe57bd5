import LuaHost
import SiteModel

/// A plan as a script's table says it, in the form that `PlanReader` reads.
enum PlanConversion {
    /// Handles become names, and functions become numbers: they stay in the script.
    static func value(_ value: LuaValue) -> PlanValue {
        switch value {
        case .nil: .null
        case .boolean(let value): .boolean(value)
        case .integer(let value): .number(Double(value))
        case .number(let value): .number(value)
        case .string(let text): .text(text.description)
        case .object(let object): .text(Handle.name(of: object))
        case .function(let function): .table(["inline": .number(Double(function.id))])
        case .table(let table):
            table.fields.isEmpty && !table.array.isEmpty ? .list(table.array.map(Self.value)) : fields(of: table)
        }
    }

    private static func fields(of table: LuaTable) -> PlanValue {
        var fields: [String: PlanValue] = [:]
        for field in table.fields {
            let name = field.key.text ?? ArgumentDecoder.shown(field.key)
            if name == "call", case .function(let function) = field.value {
                fields["inline"] = .number(Double(function.id))
            } else {
                fields[name] = value(field.value)
            }
        }
        // `{ name = "x", function() ... end }` is an action that calls the function.
        if table.array.count == 1, case .function(let function)? = table.array.first {
            fields["inline"] = .number(Double(function.id))
        } else {
            for (index, item) in table.array.enumerated() { fields["\(index + 1)"] = value(item) }
        }
        return .table(fields)
    }
}
