internal import ArgumentParser
import Foundation
import RecoveryEngine
import RecoveryScripting

/// Runs a failover script.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs a Lua script against the vault and its sites.")

    @OptionGroup var options: VaultOptions
    @OptionGroup var settings: ScriptSettings
    @OptionGroup var simulation: SimulationOptions

    @Flag(help: "Show no progress.")
    var quiet = false

    @Argument(help: "The script.")
    var script: String

    @Argument(parsing: .postTerminator, help: "After '--': arguments for the script, which receives them as '...'.")
    var arguments: [String] = []

    func run() async throws {
        try await Failure.reporting {
            guard let bytes = FileManager.default.contents(atPath: script) else {
                throw EngineError(
                    .invalid, "the script '\(script)' cannot be read", hint: "check the path and its rights")
            }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw EngineError(
                    .invalid, "the script '\(script)' holds bytes that are no text in UTF-8",
                    hint: "save it as UTF-8; compiled Lua is not run")
            }
            let folder = URL(filePath: script).deletingLastPathComponent().path
            let display = JobDisplay(quiet: quiet || options.json)
            let simulated = try await simulation.start(display: display)
            defer { simulated?.end() }
            let engine = try simulated?.engine ?? options.engine(display: display)
            var scriptOptions = try settings.options(scriptFolder: folder, simulatedLab: simulated?.lab)
            scriptOptions.planPrompt = Terminal.prompt(display)
            scriptOptions.tell = { line in
                display.clear()
                Terminal.complain(line)
            }
            // A simulated site is gone with its process, and so is its vault.
            scriptOptions.keepsJournal = simulated == nil
            try await Scripts.run(
                text, name: script, arguments: arguments, engine: engine, display: display,
                options: scriptOptions, json: options.json)
        }
    }
}
