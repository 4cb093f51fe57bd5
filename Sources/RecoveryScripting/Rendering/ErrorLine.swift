package import LuaHost

/// An error of a script in one line, without its hint.
package enum ErrorLine {
    /// Message, rule and position: `failover: 'kind' must be "planned" or "unplanned", got "planed" (dr.lua:14)`.
    package static func text(_ error: LuaError) -> String {
        var line = error.message
        if let rule = error.rule { line += " [\(rule)]" }
        if let position = error.where { line += " (\(position))" }
        return line
    }
}
