internal import ArgumentParser
import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting
import Rehearsal
import Simulation

/// Tries a script against everything that may go wrong, on simulated sites.
struct VerifyScriptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Tries a script against everything that may go wrong, on simulated sites.",
        discussion: """
            Runs the script again and again: killed after each step of the engine, with each call to a host failing, hanging or \
            losing its answer, with sites that are lost, VMs that will not stop or start, and other orders of its tasks. What must \
            never be is reported with the shortest sequence that leads there. Nothing real is touched. Exit code 1 when there is a \
            violation.
            """)

    @OptionGroup var settings: ScriptSettings

    @Option(name: .customLong("simulate"), help: "The sites: a file as perilune site record writes it.")
    var site: String

    @Option(help: "A script that is run first, undisturbed: it sets up what the script takes for given.")
    var setUp: String?

    @Option(help: "Seed of the simulation.")
    var seed: UInt64 = 1

    @Option(help: "How long to go on beginning executions.")
    var budget: String = "60s"

    @Option(help: "Run just one sequence, as a finding names it: crash@12,fails@40.")
    var replay: String?

    @Option(help: "Write the findings as JUnit XML to this file as well.")
    var junit: String?

    @Flag(help: "Print JSON for machines.")
    var json = false

    @Argument(help: "The script.")
    var script: String

    @Argument(parsing: .postTerminator, help: "After '--': arguments for the script.")
    var arguments: [String] = []

    func run() async throws {
        try await Failure.reporting {
            let scenario = try scenario()
            let limit = try LuaDuration.parse(LuaValue(budget), for: "--budget")
            let explorer = Explorer(scenario, budget: limit / .seconds(1))
            let report: VerifyReport
            do {
                if let replay {
                    report = try await explorer.replay(Self.sequence(replay))
                } else {
                    report = try await explorer.explore()
                }
            } catch let failed as SetUpFailed {
                throw EngineError(
                    .invalid, "\(failed.script), which sets the scene, failed: \(failed.error)", hint: "mend it first")
            }
            if let junit { try VerifyText.junit(report).write(toFile: junit, atomically: true, encoding: .utf8) }
            Terminal.say(json ? try JSON.text(VerifyText.Report(report)) : VerifyText.lines(report, repeating: command))
            if !report.violations.isEmpty { throw ExitCode(Failure.failed) }
        }
    }

    /// The command without what is said of the exploration.
    private var command: String {
        var words = ["perilune", "verify", "--simulate", site]
        if let setUp { words += ["--set-up", setUp] }
        for grant in settings.grants { words += ["--grant", grant] }
        if seed != 1 { words += ["--seed", "\(seed)"] }
        words.append(script)
        return words.map(Text.word).joined(separator: " ")
    }

    private func scenario() throws -> Scenario {
        let text = try Self.text(site, "the sites' description")
        let folder = URL(filePath: script).deletingLastPathComponent().path
        let lab = SimulatedLab(world: try SiteFile(json: text, seed: seed).makeWorld())
        return try Scenario(
            site: text, seed: seed,
            setUp: setUp.map { Scenario.Script(name: $0, text: try Self.text($0, "the script")) },
            script: Scenario.Script(name: script, text: try Self.text(script, "the script")), arguments: arguments,
            options: settings.options(scriptFolder: folder, simulatedLab: lab))
    }

    private static func text(_ path: String, _ what: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw EngineError(.invalid, "\(what) '\(path)' cannot be read", hint: "check the path and its rights")
        }
        return text
    }

    private static func sequence(_ text: String) throws -> [Disturbance] {
        try text.split(separator: ",").map { word in
            guard let disturbance = Disturbance(String(word)) else {
                throw EngineError(
                    .invalid, "--replay: '\(word)' is no disturbance",
                    hint:
                        "as findings name them: crash@12, fails@3, unheard@3, hangs@3, stop@all, start@all, lost@a:30, order@7"
                )
            }
            return disturbance
        }
    }
}
