internal import ArgumentParser
import Foundation
import Lab
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import VaultStore

/// Running one script and reporting how it ended.
enum Scripts {
    /// - Parameters:
    ///   - name: what the run is recorded under.
    ///   - generated: whether a command made the text up itself, so that positions in it mean nothing to anybody.
    static func run(
        _ text: String, name: String, arguments: [String] = [], generated: Bool = false, engine: RecoveryEngine,
        display: JobDisplay, options: ScriptOptions, json: Bool
    ) async throws {
        let runner = ScriptRunner(engine: engine, options: options)
        try await drive(engine, display, generated: generated, json: json) {
            try await runner.run(text: text, name: name, arguments: arguments) { line in
                display.clear()
                Terminal.say(line)
            }
        }
    }

    /// Lets a run go on, and reports how that ended.
    static func resume(
        _ run: Run, decision: RunDecision?, from rewind: Rewind?, engine: RecoveryEngine, display: JobDisplay,
        options: ScriptOptions,
        json: Bool
    ) async throws {
        let runner = ScriptRunner(engine: engine, options: options)
        try await drive(engine, display, generated: false, json: json) {
            try await runner.resume(run.id, decision: decision, from: rewind) { line in
                display.clear()
                Terminal.say(line)
            }
        }
    }

    /// What a run was started with.
    static func options(of run: Run, labRoot: String?) throws -> ScriptOptions {
        var options = run.setUp.map { ScriptOptions($0) } ?? ScriptOptions()
        options.standardLibrary = StandardLibrary.locate(program: try OwnProgram.path())
        if options.grants.contains(.lab) {
            options.labPower = try LabControl(root: labRoot ?? LabConfiguration.defaultRoot)
        }
        return options
    }

    private static func drive(
        _ engine: RecoveryEngine, _ display: JobDisplay, generated: Bool, json: Bool,
        _ body: @escaping @Sendable () async throws -> RunOutcome
    ) async throws {
        // What a dead engine left behind is driven to its end beside the script: an operation on the same VM waits for it.
        let recovery = Task { try await engine.recoverOpenJobs() }
        defer { recovery.cancel() }
        var (outcome, interrupted) = try await Interruption.cancelling(body)
        display.end()
        // A failover of another VM that was taken up is not left half-way again; Ctrl-C leaves it to the next engine.
        if !interrupted {
            await engine.finishRecoveries { operation in
                Terminal.complain("waiting for \(operation.rawValue), which a dead engine had left open")
            }
        }
        if generated { outcome.error?.where = nil }
        // A signal that comes when the script is through has interrupted nothing.
        interrupted = interrupted && !outcome.succeeded
        let open = interrupted ? try await openJobs(of: outcome.id, engine) : []
        if json {
            Terminal.say(try JSON.text(RunReport(outcome, interrupted: interrupted, openJobs: open), pretty: false))
        } else if interrupted {
            Terminal.complain((["interrupted"] + open).joined(separator: "\n"))
        } else if outcome.pause == nil, let error = outcome.error {
            Failure.report(error)
        }
        if outcome.pause != nil {
            let run = try await engine.run(outcome.id)
            if !json { Terminal.complain(RunText.lines(RunStanding(run: run, state: .paused), [])) }
            throw ExitCode(interrupted ? Failure.interrupted : Failure.paused)
        }
        if interrupted { throw ExitCode(Failure.interrupted) }
        if let error = outcome.error { throw ExitCode(Failure.exitCode(for: error)) }
    }

    /// The jobs that a run leaves open: each with its stage, and what drives it on.
    private static func openJobs(of run: String, _ engine: RecoveryEngine) async throws -> [String] {
        let (jobs, relationships) = try await engine.vault.read { vault in
            (try vault.openJobs().map(\.value), try vault.objects(Relationship.self).map(\.value))
        }
        return jobs.filter { $0.run == run }.map { job in
            let vm = relationships.first { $0.id == job.relationship }?.name ?? job.relationship
            let stage = job.stages.first { $0.state != .done }?.name ?? "end"
            return "\(job.operation.rawValue) of \(vm) goes on at stage \(stage): "
                + "repeat the command, or run perilune replicate"
        }
    }
}

/// How a run ended, for machines.
private struct RunReport: Encodable {
    var run: String
    var succeeded: Bool
    var interrupted: Bool
    var seconds: Double
    var error: String?
    var rule: String?
    var hint: String?
    var openJobs: [String]
    /// Why the run stands still.
    var paused: RunPause?

    init(_ outcome: RunOutcome, interrupted: Bool, openJobs: [String]) {
        run = outcome.id
        succeeded = outcome.succeeded
        self.interrupted = interrupted
        seconds = outcome.seconds
        paused = outcome.pause
        let error = outcome.pause == nil && !interrupted ? outcome.error : nil
        self.error = interrupted ? "interrupted" : outcome.pause?.message ?? error?.message
        rule = outcome.pause?.rule ?? error?.rule
        hint = outcome.pause?.hint ?? error?.hint
        self.openJobs = openJobs
    }
}
