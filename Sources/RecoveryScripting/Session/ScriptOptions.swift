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
    /// The folders that `files` reaches; a path that is not absolute begins at the first.
    package var folders: [GrantedFolder]
    /// What `lab` does; nil where there is no lab.
    package var labPower: (any LabPower)?
    /// Asks a person, here or elsewhere; without one a manual action of a plan waits silently.
    package var planPrompt: (any PlanPrompt)?
    /// Fuel, time and memory.
    package var limits: LuaConfiguration.Limits

    package init(
        scriptFolder: String? = nil, libraryPaths: [String] = [], standardLibrary: String? = nil,
        grants: Set<Power> = [], folders: [GrantedFolder] = [], labPower: (any LabPower)? = nil,
        planPrompt: (any PlanPrompt)? = nil,
        limits: LuaConfiguration.Limits = LuaConfiguration.Limits()
    ) {
        self.scriptFolder = scriptFolder
        self.libraryPaths = libraryPaths
        self.standardLibrary = standardLibrary
        self.grants = grants
        self.folders = folders
        self.labPower = labPower
        self.planPrompt = planPrompt
        self.limits = limits
    }

    /// Where modules are looked for, in order: the script's own tree, the libraries given, what comes with Perilune.
    var moduleFolders: [FileModuleResolver.Folder] {
        [scriptFolder].compactMap { $0 }.map { .init($0) } + libraryPaths.map { .init($0, isForeign: true) }
            + [standardLibrary].compactMap { $0 }.map { .init($0) }
    }
}
