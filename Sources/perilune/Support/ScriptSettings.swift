internal import ArgumentParser
import Foundation
import Lab
import LuaHost
import RecoveryScripting

/// Where modules are found and what a script is granted.
struct ScriptSettings: ParsableArguments {
    @Option(
        name: .customLong("grant"), parsing: .singleValue,
        help: "Grant a power: exec, files=FOLDER, hosts, http, lab. Several with commas, or repeat it.")
    var grants: [String] = []

    @Option(name: .customLong("library"), parsing: .singleValue, help: "Folder of modules to require. Repeatable.")
    var libraries: [String] = []

    @Option(name: .customLong("lab-root"), help: "The lab's directory, for --grant lab.")
    var labRoot: String = LabConfiguration.defaultRoot

    /// `simulatedLab` stands in for the lab where the sites are simulated.
    func options(scriptFolder: String?, simulatedLab: SimulatedLab? = nil) throws -> ScriptOptions {
        let grants = try Grants.reading(grants, scriptFolder: scriptFolder)
        var lab: (any LabPower)? = simulatedLab
        if lab == nil, grants.powers.contains(.lab) { lab = try LabControl(root: labRoot) }
        return try ScriptOptions(
            scriptFolder: scriptFolder, libraryPaths: libraries,
            standardLibrary: StandardLibrary.locate(program: OwnProgram.path()),
            grants: grants.powers, folders: grants.folders, labPower: lab)
    }
}
