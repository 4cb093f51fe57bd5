internal import ArgumentParser
import RecoveryEngine
import SiteModel
import VaultStore

/// How replication of each VM stands, and why.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Shows how replication of each VM stands, and why.",
        discussion: "Exit codes: 0 normal or warning; 3 critical (with --strict also warning).")

    @OptionGroup var options: VaultOptions

    @Argument(help: "Show this VM only; its source is asked what waits to be sent.")
    var vm: String?

    @Flag(help: "Let warnings fail, too.")
    var strict = false

    func run() async throws {
        try await Failure.reporting {
            let engine = try options.engine(inspects: true, display: JobDisplay(quiet: true))
            var health = try await engine.health()
            if let vm {
                guard let item = health.items.first(where: { $0.name == vm }) else {
                    let nearest = Nearest.suggestion(for: vm, among: health.items.map(\.name))
                    throw EngineError(
                        .unknown, "no replicated VM is called '\(vm)'",
                        hint: nearest.map { "did you mean '\($0)'?" } ?? "see: perilune status")
                }
                health.items = [try await engine.health(of: item.relationship.id, pending: true)]
            }
            Terminal.say(
                options.json
                    ? try HealthText.json(health)
                    : HealthText.text(health, details: vm != nil, width: Terminal.width()))
            if health.health == .critical || strict && health.health == .warning {
                throw ExitCode(Failure.unavailable)
            }
        }
    }
}
