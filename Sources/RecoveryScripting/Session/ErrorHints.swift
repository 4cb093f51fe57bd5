import LuaHost

/// What to do about errors of the language itself: the Lua host tells what is wrong and does not know what there is here.
enum ErrorHints {
    /// The error, with a hint where none came with it.
    static func explained(_ error: LuaError, _ limits: LuaConfiguration.Limits) -> LuaError {
        var error = ScriptLimits.explained(error, limits)
        guard error.hint == nil, error.kind == .undefined, !error.message.contains("did you mean") else { return error }
        if let owner = owner(in: error.message) {
            error.hint = "help(\"\(owner)\") lists what it has"
        } else if error.message.hasPrefix("unknown global") {
            error.hint = "a script's own name is set before it is read; help() lists what there is besides"
        }
        return error
    }

    /// The object or module that lacks a field: "no field 'x' on item", "no field 'x' in 'task'".
    private static func owner(in message: String) -> String? {
        guard message.hasPrefix("no field"), let last = message.split(separator: " ").last else { return nil }
        let name = last.trimmingPrefix("'").prefix { $0 != "'" }
        return HelpText.topics.contains(String(name)) ? String(name) : nil
    }
}
