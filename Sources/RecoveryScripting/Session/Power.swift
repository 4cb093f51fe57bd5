import LuaHost

/// What a script may do beyond the vault and its sites, when its run was granted it by name.
package enum Power: String, Sendable, CaseIterable {
    /// Run programs on this machine.
    case exec
    /// Read and write files beneath folders that were granted with it.
    case files
    /// Register hosts or change them: where they are, and which command, run as this user, fences them.
    case hosts
    /// Send requests to web servers.
    case http
    /// Lose and return the lab's sites, and read its guests' consoles.
    case lab

    /// What grants it, on the command line.
    var flag: String {
        switch self {
        case .files: "--grant files=FOLDER"
        default: "--grant \(rawValue)"
        }
    }

    /// What a script may do with it.
    private var meaning: String {
        switch self {
        case .exec: "run programs on this machine"
        case .files: "read and write files beneath that folder"
        case .hosts: "register hosts, and name the commands that fence them"
        case .http: "send requests to web servers"
        case .lab: "lose and return the lab's sites"
        }
    }

    /// The power as the Lua host takes it, with the functions that work only where it is granted.
    var capability: Capability {
        Capability(
            rawValue, grant: "\(flag), which lets it \(meaning)",
            modules: LuaAPI.modules.filter { $0.power == self }.compactMap(\.hostModule),
            globals: LuaAPI.poweredGlobals.filter { $0.power == self }
                .compactMap { $0.function.hostFunction(isMethod: false) })
    }
}

extension Call {
    /// Refuses what the run was not granted.
    func require(_ power: Power) throws(LuaError) { try context.require(power.rawValue) }
}
