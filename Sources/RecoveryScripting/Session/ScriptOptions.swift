package import LuaHost
package import RecoveryEngine

/// How a run is set up: where modules are found, what is granted, how much it may use.
package struct ScriptOptions: Sendable {
    /// Folder of the script, searched first for modules; nil when it has none.
    package var scriptFolder: String?
    /// Folders given with `--library`, in order.
    package var libraryPaths: [String]
    /// Folder of the modules that come with Perilune; see `StandardLibrary.locate`.
    package var standardLibrary: String?
    package var grants: Set<Power>
    /// What `lab` does; nil where there is no lab.
    package var labPower: (any LabPower)?
    /// Runs the commands of plans; nil where the run was not granted `exec`.
    package var planCommands: (any ActionRunner)?
    /// Asks the person at the terminal; nil where nobody is there.
    package var planPrompt: (any PlanPrompt)?
    /// Fuel, time and memory.
    package var limits: LuaConfiguration.Limits

    package init(
        scriptFolder: String? = nil, libraryPaths: [String] = [], standardLibrary: String? = nil,
        grants: Set<Power> = [], labPower: (any LabPower)? = nil,
        planCommands: (any ActionRunner)? = nil, planPrompt: (any PlanPrompt)? = nil,
        limits: LuaConfiguration.Limits = LuaConfiguration.Limits()
    ) {
        self.scriptFolder = scriptFolder
        self.libraryPaths = libraryPaths
        self.standardLibrary = standardLibrary
        self.grants = grants
        self.labPower = labPower
        self.planCommands = planCommands
        self.planPrompt = planPrompt
        self.limits = limits
    }

    var moduleFolders: [String] {
        [scriptFolder].compactMap { $0 } + libraryPaths + [standardLibrary].compactMap { $0 }
    }
}
