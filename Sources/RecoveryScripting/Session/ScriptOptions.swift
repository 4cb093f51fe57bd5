package import LuaHost
package import RecoveryEngine
package import SiteModel

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
    /// Whether runs keep a journal, so that another process can go on with them.
    package var keepsJournal = false
    /// Takes lines for whoever watches that are none of the script's own.
    package var tell: @Sendable (String) -> Void = { _ in }
    /// Watches a run that is only rehearsed; nil for one in earnest.
    package var rehearsing: (any Rehearsing)?

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

extension ScriptOptions {
    /// What of these a run is to go on with in another process.
    func setUp(_ arguments: [String]) -> RunSetUp {
        RunSetUp(
            arguments: arguments, scriptFolder: scriptFolder, libraries: libraryPaths,
            grants: grants.map(\.rawValue).sorted(),
            folders: folders.map { RunFolder(path: $0.path, isWritable: $0.isWritable) }, instructions: limits.fuel,
            seconds: limits.luaTime.map { $0 / .seconds(1) }, memory: limits.memory)
    }

    /// The options that a run was started with.
    package init(_ setUp: RunSetUp) {
        self.init(
            scriptFolder: setUp.scriptFolder, libraryPaths: setUp.libraries,
            grants: Set(setUp.grants.compactMap(Power.init(rawValue:))),
            folders: setUp.folders.map { GrantedFolder(path: $0.path, isWritable: $0.isWritable) })
        limits.fuel = setUp.instructions
        limits.luaTime = setUp.seconds.map { .seconds($0) }
        limits.memory = setUp.memory
        keepsJournal = true
    }
}
