/// The globals of the API, as `.luacheckrc` names them.
package enum LuacheckGlobals {
    /// Lines of a `read_globals` table: functions by name, modules with their fields.
    package static var text: String {
        var lines = ["read_globals = {"]
        lines += LuaAPI.globals.map { "   \"\($0.name)\"," }
        for module in LuaAPI.modules {
            let fields = module.functions.map { "\"\($0.name)\"" }.joined(separator: ", ")
            lines.append("   \(module.name) = { fields = { \(fields) } },")
        }
        lines.append("}")
        return lines.joined(separator: "\n") + "\n"
    }
}
