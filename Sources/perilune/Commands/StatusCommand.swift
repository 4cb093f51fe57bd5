internal import ArgumentParser
import RecoveryEngine
import SiteModel
import VaultStore

/// Per VM: state, last point and its age, owner, and which operations may come next.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows every replicated VM and which operation may come next.")

    @OptionGroup var options: VaultOptions

    @Argument(help: "Show this VM only: what is possible now, its points, and what is refused.")
    var vm: String?

    @Flag(help: "Of the one VM, say also why each other operation is refused.")
    var why = false

    func validate() throws {
        if why, vm == nil { throw ValidationError("--why is about one VM: perilune status VM --why") }
    }

    func run() async throws {
        try await Failure.reporting {
            let engine = try options.engine(inspects: true, display: JobDisplay(quiet: true))
            var rows = try await engine.status()
            let health = try await engine.health()
            let replicator = try await engine.replicatorStanding()
            if let vm {
                let names = rows.map(\.relationship.name)
                rows = rows.filter { $0.relationship.name == vm }
                if rows.isEmpty {
                    let nearest = Nearest.suggestion(for: vm, among: names)
                    throw EngineError(
                        .unknown, "no replicated VM is called '\(vm)'",
                        hint: nearest.map { "did you mean '\($0)'?" }
                            ?? Listed.hint("there are", names, none: "no VM is replicated yet: protect one first"))
                }
            }
            let now = engine.dependencies.clock.now
            let details = vm == nil ? nil : rows.first
            let points = try await engine.vault.read { vault in
                try details.map { try vault.objects(RecoveryPoint.self, parent: $0.relationship.id).map(\.value) } ?? []
            }.sorted { $0.number < $1.number }
            if options.json { return Terminal.say(try StatusJSON.text(rows, health, points, now: now)) }
            let width = Terminal.width()
            var place: String?
            if let vault = engine.vault as? SQLiteVault { place = try await VaultPlaceText.line(of: vault) }
            Terminal.say(StatusText.text(rows, health, replicator, now: now, width: width))
            if let place { Terminal.say(place) }
            for (plan, run) in try await engine.openPlanRuns() {
                Terminal.say(
                    "plan \(plan.name): \(run.operation.rawValue) is \(run.state.rawValue)"
                        + (run.phase.map { ", at \($0)" } ?? "") + (run.failure.map { ": \($0.message)" } ?? ""))
            }
            for run in try await engine.runStandings(open: true) where run.run.isOpen {
                Terminal.say(RunText.line(run))
            }
            if let details {
                Terminal.say("\n" + StatusText.details(of: details, points, now: now, why: why, width: width))
            }
        }
    }
}
