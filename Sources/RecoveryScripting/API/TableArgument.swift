import LuaHost

/// Tables inside an option: each is checked as the options of a call are, key by key.
extension Call {
    /// The tables of an option that is a list of them, decoded by what each may hold.
    func tables(_ name: String, _ fields: [Parameter]) throws(LuaError) -> [Arguments]? {
        guard let list = arguments[name]?.table else { return nil }
        var found: [Arguments] = []
        for (index, value) in list.array.enumerated() {
            let place = "\(context.function): \(name)[\(index + 1)]"
            let declaration = FunctionDeclaration(name, "", named: fields, effect: .none, example: "", .host)
            found.append(try ArgumentDecoder(function: place, declaration: declaration).decode([value], receiver: nil))
        }
        return found
    }

    /// An error about a field of one of those tables.
    func wrong(_ name: String, _ field: String, _ given: String, _ allowed: String) -> LuaError {
        LuaError(
            .argument,
            "\(context.function): '\(name).\(field)' must be \(allowed), got \(ArgumentDecoder.shown(LuaValue(given)))")
    }
}
