internal import ArgumentParser
import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import VaultStore

/// Lets a run of a script, or the replication of a VM, go on.
struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lets a run of a script go on, or a VM's paused or failed replication.",
        discussion: """
            A run goes on where its journal ends: nothing that it has done is done again. One that stands still at a step that \
            failed wants to be told what becomes of the step: --retry, --skip or --fail.
            """)

    @OptionGroup var options: VaultOptions

    @Argument(help: "Id of the run, or its beginning; or the name of a VM.")
    var name: String

    @Flag(help: "Make the step that the run stands at again.")
    var retry = false

    @Flag(help: "Go on without the step that the run stands at; it returns --value.")
    var skip = false

    @Flag(help: "Raise the step's error in the script.")
    var fail = false

    @Option(
        help: ArgumentHelp("With --skip: what the step returns, as Lua writes it; nil if left out.", valueName: "value")
    )
    var value: String?

    @Option(help: "Why, for the record; --skip wants it.")
    var reason: String?

    @Option(help: ArgumentHelp("Repeat the run from this step on, as runs show --all names it.", valueName: "step"))
    var from: String?

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "With --from: a step that is made anew, though it may have changed something. Repeatable.",
            valueName: "step"))
    var again: [String] = []

    @Option(name: .customLong("lab-root"), help: "The lab's directory, for a run that was granted lab.")
    var labRoot: String?

    func validate() throws {
        guard [retry, skip, fail].count(where: { $0 }) <= 1 else {
            throw ValidationError("give one of --retry, --skip and --fail")
        }
        if from != nil, retry || skip || fail {
            throw ValidationError("--from goes without --retry, --skip and --fail")
        }
        if from == nil, !again.isEmpty { throw ValidationError("--again goes with --from") }
        if value != nil, !skip { throw ValidationError("--value goes with --skip") }
        if skip, reason == nil { throw ValidationError("--skip wants --reason \"...\": it is recorded with the run") }
    }

    func run() async throws {
        try await Failure.reporting {
            let display = JobDisplay(quiet: options.json)
            let engine = try options.engine(display: display)
            guard let run = try await runNamed(name, engine) else {
                guard !retry, !skip, !fail, from == nil else { throw Self.noRun(name) }
                var operation = OperationOptions()
                (operation.options, operation.vm) = (options, name)
                return try await operation.run("resume()", as: ["resume", name])
            }
            var scriptOptions = try Scripts.options(of: run, labRoot: labRoot)
            scriptOptions.planPrompt = Terminal.prompt(display)
            scriptOptions.tell = { line in
                display.clear()
                Terminal.complain(line)
            }
            let decision = try await decision()
            try await Scripts.resume(
                run, decision: decision, from: from.map { Rewind(to: $0, again: Set(again), by: Person.name) },
                engine: engine, display: display, options: scriptOptions,
                json: options.json)
        }
    }

    /// The run of that id, or whose id begins so; nil where that is the name of a VM.
    private func runNamed(_ name: String, _ engine: RecoveryEngine) async throws -> Run? {
        let isVM = try await engine.vault.read { vault in
            try vault.objects(Relationship.self).contains { $0.value.name == name }
        }
        if isVM { return nil }
        do {
            return try await engine.run(name)
        } catch let error as EngineError where error.kind == .unknown && !retry && !skip && !fail && from == nil {
            return nil
        }
    }

    private static func noRun(_ name: String) -> EngineError {
        EngineError(
            .invalid, "'\(name)' is a VM; --retry, --skip and --fail are about runs of scripts",
            hint: "see: perilune runs")
    }

    private func decision() async throws -> RunDecision? {
        let by = Person.name
        if retry { return RunDecision(.retry, reason: reason, by: by) }
        if fail { return RunDecision(.fail, reason: reason, by: by) }
        guard skip else { return nil }
        var result = LuaValue.nil
        if let value {
            switch await (try LuaState()).evaluate(value, chunk: "--value") {
            case .finished(let values, _): result = values.first ?? .nil
            case .incomplete, .failed:
                throw EngineError(
                    .invalid, "--value \(Text.word(value)) is no value of Lua",
                    hint: "write it as in a script: 5, true, '\"text\"', '{ address = \"10.0.0.1\" }'")
            }
        }
        return RunDecision(.skip, value: result, reason: reason, by: by)
    }
}
