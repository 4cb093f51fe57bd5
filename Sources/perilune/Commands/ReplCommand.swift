internal import ArgumentParser
import Foundation
import Glibc
import LuaHost
import RecoveryScripting
import Synchronization

/// Explores a site by hand.
struct ReplCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repl", abstract: "Reads, evaluates and prints Lua against the vault and its sites.")

    @OptionGroup var options: VaultOptions
    @OptionGroup var settings: ScriptSettings
    @OptionGroup var simulation: SimulationOptions

    func run() async throws {
        try await Failure.reporting {
            let display = JobDisplay()
            let simulated = try await simulation.start(display: display)
            defer { simulated?.end() }
            let engine = try simulated?.engine ?? options.engine(display: display)
            let shown = ReplOutput(display: display)
            var scriptOptions = try settings.options(
                scriptFolder: FileManager.default.currentDirectoryPath, simulatedLab: simulated?.lab)
            // The session's own input is for entries.
            scriptOptions.planPrompt = ElsewherePrompt(display: display)
            let session = try await ReplSession.start(engine: engine, options: scriptOptions) { shown.say($0) }
            let sources = Interruption.watch([SIGINT]) {
                if !Terminal.readsFromPerson { Glibc.exit(Failure.interrupted) }
                session.interrupt()
            }
            let last = try await converse(session, shown)
            for source in sources { source.cancel() }
            try await session.end()
            // The error itself has been shown when it happened.
            if let last, !Terminal.readsFromPerson { throw ExitCode(Failure.exitCode(for: last)) }
        }
    }

    /// Reads entries until the input ends; returns the error of the last one, if it failed.
    private func converse(_ session: ReplSession, _ shown: ReplOutput) async throws -> LuaError? {
        let home = ProcessInfo.processInfo.environment["HOME"]
        let editor = LineEditor(history: home.map { "\($0)/.perilune_history" }) {
            await session.completion(after: $0)
        }
        if Terminal.readsFromPerson {
            Terminal.say(
                "perilune \(Version.text): help() shows the way, Tab completes, Ctrl-C interrupts, Ctrl-D or exit ends")
        }
        var entry = ""
        var last: LuaError?
        while true {
            switch await editor.read(prompt: entry.isEmpty ? "> " : ">> ", after: entry) {
            case .end:
                if Terminal.readsFromPerson { Terminal.say("") }
                if entry.isEmpty || Terminal.readsFromPerson { return last }
                let unfinished = LuaError(
                    .syntax, "the input ends in the middle of an entry", hint: "it was not run: \(entry.prefix(80))")
                Failure.report(unfinished)
                return unfinished
            case .interrupted:
                Terminal.say("^C")
                entry = ""
                continue
            case .text(let line):
                if entry.isEmpty, Self.endsSession(line) { return last }
                entry += entry.isEmpty ? line : "\n" + line
            }
            if entry.allSatisfy(\.isWhitespace) {
                entry = ""
                continue
            }
            shown.wraps = entry.prefixMatch(of: /\s*(help|apropos)/) != nil
            // Ctrl-C interrupts it, and the session goes on.
            let answer = try await session.evaluate(entry)
            shown.clear()
            switch answer {
            case .incomplete: continue
            case .printed(let results):
                last = nil
                for result in results { Terminal.say(result) }
            case .failed(let error):
                last = error
                // The terminal has echoed the key, and stands behind it.
                if error.kind == .cancelled, Terminal.readsFromPerson { Terminal.say("") }
                Failure.report(error)
            }
            editor.remember(entry)
            entry = ""
        }
    }

    private static func endsSession(_ line: String) -> Bool {
        ["exit", "quit", "exit()", "quit()"].contains(line.trimmingCharacters(in: .whitespaces))
    }
}

/// What a session prints: lines of help are broken at word edges on a terminal, all others stay as they are.
private final class ReplOutput: Sendable {
    private let display: JobDisplay
    private let isWrapping = Mutex(false)

    init(display: JobDisplay) { self.display = display }

    var wraps: Bool {
        get { isWrapping.withLock { $0 } }
        set { isWrapping.withLock { $0 = newValue } }
    }

    func clear() { display.clear() }

    func say(_ line: String) {
        display.clear()
        let lines = wraps && Terminal.writesToPerson ? Text.wrap(line, width: Terminal.width()) : [line]
        for line in lines { Terminal.say(line) }
    }
}
