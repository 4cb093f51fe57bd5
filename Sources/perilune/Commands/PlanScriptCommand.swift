internal import ArgumentParser
import BlockReplication
import Foundation
import Hypervisors
import LuaHost
import RecoveryEngine
import RecoveryScripting
import Rehearsal
import SiteModel
import Simulation
import VaultStore

/// Says what a script would do, without doing it.
struct PlanScriptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Says what a script would do now, without doing it.",
        discussion: """
            Runs the script against a copy of the vault, on simulated sites that are made like the real ones: their hosts are \
            asked what they have, and nothing else. exec, http and what files would write are not done; their answers, those of \
            probes and of people are taken for granted and listed. Exit code 1 when the script would fail.
            """)

    @OptionGroup var options: VaultOptions
    @OptionGroup var settings: ScriptSettings

    @Option(name: .customLong("simulate"), help: "Sites from a file, as perilune site record writes it, with no vault.")
    var site: String?

    @Option(help: "With --simulate, a script that is run first: it sets up what the script takes for given.")
    var setUp: String?

    @Option(help: ArgumentHelp("Take this site for lost; may be given again.", valueName: "site"))
    var assumeLost: [String] = []

    @Option(
        help: ArgumentHelp(
            "What is answered to a question of the script's, or by a guest that is probed: QUESTION=ANSWER, ADDRESS=BODY.",
            valueName: "answer"))
    var answer: [String] = []

    @Option(help: "Write the plan to this file as well, as a page for a browser.")
    var html: String?

    @Argument(help: "The script.")
    var script: String

    @Argument(parsing: .postTerminator, help: "After '--': arguments for the script.")
    var arguments: [String] = []

    func validate() throws {
        if setUp != nil, site == nil { throw ValidationError("--set-up goes with --simulate: a vault needs none") }
        for answer in answer where !answer.contains("=") {
            throw ValidationError("--answer '\(answer)' is no QUESTION=ANSWER")
        }
    }

    func run() async throws {
        try await Failure.reporting {
            let report: ScriptPlan
            do { report = try await Planner(task()).plan() } catch let failed as SetUpFailed {
                throw EngineError(
                    .invalid, "\(failed.script), which sets the scene, failed: \(failed.error)", hint: "mend it first")
            }
            if let html { try PlanPage.html(report).write(toFile: html, atomically: true, encoding: .utf8) }
            Terminal.say(options.json ? try JSON.text(report) : PlanText.lines(report, width: Terminal.width()))
            if !report.succeeded { throw ExitCode(Failure.failed) }
        }
    }

    private func task() async throws -> Planner.Request {
        let script = try Scenario.Script(name: script, text: Self.text(script, "the script"))
        let folder = URL(filePath: self.script).deletingLastPathComponent().path
        var task: Planner.Request
        if let site {
            let description = try Self.text(site, "the sites' description")
            let lab = SimulatedLab(world: try SiteFile(json: description).makeWorld())
            task = Planner.Request(
                site: description, script: script,
                options: try settings.options(scriptFolder: folder, simulatedLab: lab), now: SystemClock().now)
            task.setUp = try setUp.map { Scenario.Script(name: $0, text: try Self.text($0, "the script")) }
        } else {
            task = try await recorded(script, folder)
        }
        task.arguments = arguments
        task.lost = assumeLost
        for answer in answer {
            let parts = answer.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            task.answers[parts[0]] = parts[1]
        }
        return task
    }

    /// The vault, and its hosts' sites as they are now.
    private func recorded(_ script: Scenario.Script, _ folder: String) async throws -> Planner.Request {
        let engine = try options.engine(inspects: true, display: JobDisplay(quiet: true))
        let hosts = try await engine.vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
        guard !hosts.isEmpty else {
            throw EngineError(
                .invalid, "the vault has no host, so there is no site to plan on",
                hint: "register servers and hosts first, or give sites from a file: --simulate FILE --set-up SCRIPT")
        }
        var silent: [String] = []
        let site = try await SiteRecorder.record(hosts, through: engine.dependencies.connections) { host, _ in
            silent.append(host.name)
        }
        let lab = SimulatedLab(world: try SiteFile(json: site).makeWorld())
        var task = Planner.Request(
            site: site, vault: engine.vault, script: script,
            options: try settings.options(scriptFolder: folder, simulatedLab: lab),
            now: engine.dependencies.clock.now)
        task.silent = silent
        task.definitions = try await definitions(engine, silent: Set(silent))
        return task
    }

    /// Definitions of VMs whose source does not answer, as their newest points have them.
    private func definitions(_ engine: RecoveryEngine, silent: Set<String>) async throws -> [String: String] {
        let relationships = try await engine.vault.read { try $0.objects(Relationship.self).map(\.value) }
        var definitions: [String: String] = [:]
        for relationship in relationships {
            guard let generation = relationship.newestGeneration,
                silent.contains(try await engine.hosts.host(relationship.source).name)
            else { continue }
            definitions[relationship.id] = try? await engine.hosts.agent(relationship.target).domainXML(
                relationship: relationship.id, generation: generation)
        }
        return definitions
    }

    private static func text(_ path: String, _ what: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw EngineError(.invalid, "\(what) '\(path)' cannot be read", hint: "check the path and its rights")
        }
        return text
    }
}
