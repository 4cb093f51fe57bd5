internal import ArgumentParser
import Foundation
import LuaHost
import RecoveryScripting

/// Explores a site by hand.
struct ReplCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repl", abstract: "Reads, evaluates and prints Lua against the vault and its sites.")

    @OptionGroup var options: VaultOptions
    @OptionGroup var settings: ScriptSettings

    func run() async throws {
        try await Failure.reporting {
            let display = JobDisplay()
            let engine = try options.engine(display: display)
            let session = try await ReplSession.start(
                engine: engine, options: settings.options(scriptFolder: FileManager.default.currentDirectoryPath)
            ) { line in
                display.clear()
                Terminal.say(line)
            }
            let last = try await converse(session, display)
            try await session.end()
            // The error itself has been shown when it happened.
            if let last, !Terminal.readsFromPerson { throw ExitCode(Failure.exitCode(for: last)) }
        }
    }

    /// Reads entries until the input ends; returns the error of the last one, if it failed.
    private func converse(_ session: ReplSession, _ display: JobDisplay) async throws -> LuaError? {
        let home = ProcessInfo.processInfo.environment["HOME"]
        let editor = LineEditor(history: home.map { "\($0)/.perilune_history" })
        if Terminal.readsFromPerson { Terminal.say("perilune \(Version.text): help() shows the way, Ctrl-D ends") }
        var entry = ""
        var last: LuaError?
        while let line = await editor.read(prompt: entry.isEmpty ? "> " : ">> ") {
            entry += entry.isEmpty ? line : "\n" + line
            if entry.allSatisfy(\.isWhitespace) {
                entry = ""
                continue
            }
            let answer = try await session.evaluate(entry)
            display.clear()
            switch answer {
            case .incomplete: continue
            case .printed(let results):
                last = nil
                for result in results { Terminal.say(result) }
            case .failed(let error):
                last = error
                Failure.report(error)
            }
            editor.remember(entry)
            entry = ""
        }
        return last
    }
}
