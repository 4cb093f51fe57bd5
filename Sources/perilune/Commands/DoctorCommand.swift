internal import ArgumentParser
import Foundation
import RecoveryEngine
import RecoveryScripting
import SiteModel
import VaultStore

/// Looks whether everything that recovery needs is there; each line that fails says why, and what to do.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks vault, servers, pairs, hosts, VMs and endpoints; each failing line says what to do.",
        discussion: """
            Changes nothing. Exit codes: 0 nothing fails (there may be warnings); 3 a check fails, or with --strict \
            warns; 1 doctor could not do its work. docs/checks.md lists all checks.
            """)

    @Argument(
        help: ArgumentHelp(
            "What to check: vault, or the name of a server, pair, host or VM, also as host:NAME.",
            discussion: "Without any, all of it."))
    var objects: [String] = []

    @OptionGroup var options: VaultOptions

    @Option(help: "File of endpoints to be tried from this machine and from each host; see examples/endpoints.json.")
    var endpoints: String?

    @Flag(help: "Check also VMs of paired clouds that nobody replicates.")
    var all = false

    @Flag(help: "Show only what warns or fails.")
    var problems = false

    @Flag(help: "Let warnings fail, too.")
    var strict = false

    func run() async throws {
        try await Failure.reporting {
            // Read first: a mistake in it should not be found after half a minute.
            let plan = try endpoints.map { try EndpointPlan(contentsOf: $0) }
            let report = try await DoctorVisit(options: options).report(on: objects, plan, candidates: all)
            let failing = !report.ready || (strict && report.count(.warn) > 0)
            Terminal.say(
                options.json
                    ? try JSON.text(report)
                    : CheckTable.text(report, problems: problems, width: Terminal.width()))
            if failing { throw ExitCode(Failure.unavailable) }
        }
    }
}

/// One run of the doctor: which objects are looked at.
private struct DoctorVisit {
    let options: VaultOptions

    func report(on objects: [String], _ plan: EndpointPlan?, candidates: Bool) async throws -> InspectionReport {
        let place = VaultPlace(inspecting: options.path)
        let library = try StandardLibrary.locate(program: OwnProgram.path())
        let inspection: SiteInspection
        do {
            inspection = SiteInspection(engine: try options.engine(inspects: true, display: JobDisplay(quiet: true)))
        } catch {
            let words = Failure.words(for: error)
            return InspectionReport(
                VaultChecks.judge(
                    VaultFacts(place: place, openFailure: (words.message, words.hint), standardLibrary: library)))
        }
        let vault = VaultChecks.judge(try await inspection.vaultFacts(place: place, standardLibrary: library))
        var findings: [CheckFinding] = []
        if objects.isEmpty {
            findings = vault + (try await inspection.everything(candidates: candidates))
        } else {
            for target in try await inspection.targets(named: objects) {
                findings += target == .vault ? vault : try await inspection.look(at: target)
            }
        }
        if let plan { findings += try await inspection.endpoints(plan) }
        return InspectionReport(findings)
    }
}
