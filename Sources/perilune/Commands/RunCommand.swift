internal import ArgumentParser
import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting

/// Runs a failover script.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs a Lua script against the vault and its sites.")

    @OptionGroup var options: VaultOptions
    @OptionGroup var settings: ScriptSettings

    @Flag(help: "Show no progress.")
    var quiet = false

    @Argument(help: "The script.")
    var script: String

    @Argument(parsing: .postTerminator, help: "After '--': arguments for the script, which receives them as '...'.")
    var arguments: [String] = []

    func run() async throws {
        try await Failure.reporting {
            guard let text = try? String(contentsOfFile: script, encoding: .utf8) else {
                throw EngineError(
                    .invalid, "the script '\(script)' cannot be read", hint: "check the path and its rights")
            }
            let folder = URL(filePath: script).deletingLastPathComponent().path
            let display = JobDisplay(quiet: quiet || options.json)
            let engine = try options.engine(display: display)
            try await Scripts.run(
                text, name: script, arguments: arguments, engine: engine, display: display,
                options: settings.options(scriptFolder: folder), json: options.json)
        }
    }
}

/// Running one script and reporting how it ended.
enum Scripts {
    /// Name of a script that a command makes up itself.
    static let generatedName = "perilune"

    static func run(
        _ text: String, name: String, arguments: [String] = [], engine: RecoveryEngine, display: JobDisplay,
        options: ScriptOptions, json: Bool
    ) async throws {
        // What a dead engine left behind is driven to its end beside the script: an operation on the same VM waits for it.
        let recovery = Task { try await engine.recoverOpenJobs() }
        defer { recovery.cancel() }
        let runner = ScriptRunner(engine: engine, options: options)
        try await Interruption.cancelling {
            let outcome = try await runner.run(text: text, name: name, arguments: arguments) { line in
                display.clear()
                Terminal.say(line)
            }
            display.clear()
            if json { Terminal.say(try report(outcome)) }
            if let error = outcome.error { throw error }
        }
    }

    private static func report(_ outcome: RunOutcome) throws -> String {
        struct Report: Encodable {
            var run: String
            var succeeded: Bool
            var seconds: Double
            var error: String?
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let report = Report(
            run: outcome.id, succeeded: outcome.succeeded, seconds: outcome.seconds,
            error: outcome.error.map { "\($0)" })
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }
}
