internal import ArgumentParser
import Foundation
import Lab
import LuaHost
import RecoveryScripting
import Rehearsal

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

    @Option(help: "How many Lua instructions the script may take; 10000000000 if left out.")
    var instructions: UInt64?

    @Option(help: "How long Lua may compute, waits not counted, as 2min; 1min if left out.")
    var luaTime: String?

    @Option(help: "How much memory the script may hold, as 1GiB; 256MiB if left out.")
    var memory: String?

    /// `simulatedLab` stands in for the lab where the sites are simulated.
    func options(scriptFolder: String?, simulatedLab: SimulatedLab? = nil) throws -> ScriptOptions {
        let grants = try Grants.reading(grants, scriptFolder: scriptFolder)
        var lab: (any LabPower)? = simulatedLab
        if lab == nil, grants.powers.contains(.lab) { lab = try LabControl(root: labRoot) }
        return try ScriptOptions(
            scriptFolder: scriptFolder, libraryPaths: libraries,
            standardLibrary: StandardLibrary.locate(program: OwnProgram.path()),
            grants: grants.powers, folders: grants.folders, labPower: lab,
            limits: ScriptLimits.reading(instructions: instructions, time: luaTime, memory: memory))
    }
}
