/// A fence through one of Debian's fence-agents: the program's name and what it is told.
///
/// A value that is secret is never kept here: `secrets` names a file for it, which the fence reads when it is needed.
package struct FenceAgent: Codable, Hashable, Sendable {
    /// The program: "fence_virsh", "fence_ipmilan", ...
    package var agent: String
    /// Its options by their names in the agent's own description: "ip", "username", "plug".
    package var options: [String: String]
    /// Absolute path of the file that holds the value, by option.
    ///
    /// Its first line is the value; nobody but its owner may read it.
    package var secrets: [String: String]

    package init(agent: String, options: [String: String] = [:], secrets: [String: String] = [:]) {
        self.agent = agent
        self.options = options
        self.secrets = secrets
    }

    /// What is wrong with it, in words for the person who wrote it; nil when nothing is.
    package var fault: String? {
        let suffix = agent.dropFirst("fence_".count)
        guard agent.hasPrefix("fence_"), !suffix.isEmpty, agent.utf8.count <= 64,
            suffix.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        else { return "agent = \"\(agent.prefix(64))\" is no name of a fence agent, such as \"fence_virsh\"" }
        for name in Array(options.keys) + secrets.keys {
            guard !name.isEmpty, name.utf8.count <= 64,
                name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") })
            else { return "option \"\(name.prefix(64))\" is no name of an option" }
            if name == "action" {
                return "option action is not given: the fence turns the host off and asks whether it is"
            }
            if Self.holdsSecret(name), secrets[name] == nil {
                return "option \(name) is secret: put it into a file of mode 0600 and name that in secrets"
            }
            if secrets[name] != nil, options[name] != nil { return "option \(name) is given twice" }
        }
        for (name, value) in options where value.utf8.count > 4096 || value.contains(where: \.isNewline) {
            return "option \(name) is longer than 4 KiB or has more than one line"
        }
        for (name, path) in secrets where !path.hasPrefix("/") { return "secrets.\(name) is no absolute path" }
        return nil
    }

    /// Options of fence-agents whose values are passwords.
    private static func holdsSecret(_ name: String) -> Bool {
        ["password", "passwd", "snmp_priv_passwd", "token", "secret_key", "apikey"].contains(name)
    }
}
