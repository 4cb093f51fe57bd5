import LuaHost
import RecoveryEngine
import SiteModel

/// The form of `fence` that names a fence agent: `{ agent = "fence_virsh", options = {...}, secrets = {...} }`.
enum FenceOption {
    private static let example = "{ agent = \"fence_virsh\", options = { ip = \"...\", plug = \"...\" } }"

    /// The fence agent; nil when `fence` is a command, or was left out.
    ///
    /// - Throws: `EngineError` of kind `invalid` that names what is wrong with it.
    static func agent(_ value: LuaValue?) throws -> FenceAgent? {
        guard let table = value?.table, !table.fields.isEmpty else { return nil }
        let known = ["agent", "options", "secrets"]
        for field in table.fields {
            let name = field.key.text ?? "?"
            guard known.contains(name) else {
                throw invalid(
                    "fence has no '\(name)'",
                    hint: Nearest.suggestion(for: name, among: known).map { "did you mean '\($0)'?" })
            }
        }
        guard let name = table["agent"].text else { throw invalid("fence.agent must be text", hint: nil) }
        let agent = FenceAgent(
            agent: name, options: try texts(table["options"], "options"),
            secrets: try texts(table["secrets"], "secrets"))
        if let fault = agent.fault { throw invalid("fence: \(fault)", hint: nil) }
        return agent
    }

    private static func texts(_ value: LuaValue, _ name: String) throws -> [String: String] {
        guard value != .nil else { return [:] }
        guard let table = value.table, table.array.isEmpty else {
            throw invalid("fence.\(name) must be a table of text by name", hint: nil)
        }
        var texts: [String: String] = [:]
        for field in table.fields {
            guard let key = field.key.text, let text = field.value.text ?? field.value.integer.map(String.init) else {
                throw invalid("fence.\(name) must be a table of text by name", hint: nil)
            }
            texts[key] = text
        }
        return texts
    }

    private static func invalid(_ message: String, hint: String?) -> EngineError {
        EngineError(.invalid, message, hint: hint ?? "write it so: fence = \(example)")
    }
}
