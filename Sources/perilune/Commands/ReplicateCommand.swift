internal import ArgumentParser
import RecoveryEngine
import SiteModel
import VaultStore

/// Runs cycles at each policy's frequency until it is stopped.
struct ReplicateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replicate", abstract: "Runs cycles at each policy's frequency until stopped (Ctrl-C).")

    @OptionGroup var options: VaultOptions

    @Option(help: "Write figures for Prometheus to this file every 15 s.")
    var metricsFile: String?

    @Option(help: "Serve figures for Prometheus at /metrics of this port or ADDRESS:PORT; a port alone means loopback.")
    var metricsPort: String?

    @Option(help: "How many VMs of one host are copied at once.")
    var perSource = CycleLimits().perSource

    @Option(help: "How many VMs are copied to one host at once.")
    var perTarget = CycleLimits().perTarget

    @Option(help: "How many VMs are copied between two sites at once.")
    var perLink = CycleLimits().perLink

    @Flag(help: "Where another replicate works on the vault, wait until it ends and follow it.")
    var wait = false

    func validate() throws {
        guard [perSource, perTarget, perLink].allSatisfy({ (1...10_000).contains($0) }) else {
            throw ValidationError("--per-source, --per-target and --per-link are 1 to 10000")
        }
    }

    func run() async throws {
        try await Failure.reporting {
            let report = ReplicationReport()
            let engine = try options.engine(display: JobDisplay(quiet: true))
            do {
                _ = try await Interruption.cancelling { [self] in
                    try await ReplicatorPost(engine: engine).hold(
                        waiting: wait, onWait: { Self.tell($0, now: engine.dependencies.clock.now, waiting: wait) }
                    ) { try await replicate(engine, report) }
                }
            } catch is CancellationError {}
            Terminal.say("stopped")
        }
    }

    private static func tell(_ other: ReplicatorStanding, now: Timestamp, waiting: Bool) {
        Terminal.complain(
            "another replicate has this vault: \(other.words(now: now)); "
                + (waiting ? "waiting until it ends (Ctrl-C stops)" : "looking whether it lives"))
    }

    /// All that a vault's one replicator does, until it is cancelled.
    private func replicate(_ engine: RecoveryEngine, _ report: ReplicationReport) async throws {
        Terminal.say(try await Self.watched(by: engine))
        let gauge = ReplicatorGauge()
        let server = try metrics(of: engine, gauge)
        var duties = Duty.standard + [.sendAlerts(via: CurlAlertSender(clock: engine.dependencies.clock))]
        if let metricsFile { duties.append(.writeMetrics(to: MetricsFile(path: metricsFile), gauge: gauge)) }
        let replicator = Replicator(
            engine: engine, limits: CycleLimits(perSource: perSource, perTarget: perTarget, perLink: perLink),
            duties: duties, gauge: gauge
        ) { report.tell($0) }
        do {
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask { try await replicator.run() }
                group.addTask { try await RunTakeUp(engine: engine).run() }
                group.addTask { try await SiteWatch(engine: engine) { report.tell($0) }.run() }
            }
        } catch {
            await server?.close()
            throw error
        }
        await server?.close()
    }

    /// Serves figures, where that was asked for.
    private func metrics(of engine: RecoveryEngine, _ gauge: ReplicatorGauge) throws -> MetricsServer? {
        guard let metricsPort else { return nil }
        let address = try MetricsAddress(metricsPort)
        let server = try MetricsServer(at: address) { try await engine.metrics(scheduler: gauge.figures) }
        Terminal.say("figures at http://\(address.with(port: server.port))/metrics")
        if !address.isLoopback { Terminal.complain("anybody who reaches \(address) can read them") }
        return server
    }

    /// So many VMs are named when it starts.
    private static let namedMost = 20

    /// What is replicated, and how often.
    private static func watched(by engine: RecoveryEngine) async throws -> String {
        let (relationships, policies) = try await engine.vault.read { vault in
            (try vault.objects(Relationship.self).map(\.value), try vault.objects(Policy.self).map(\.value))
        }
        guard !relationships.isEmpty else { return "no VM is replicated yet; a VM is taken up once it is protected" }
        let words = relationships.map { relationship in
            let policy = policies.first { $0.id == relationship.policy }
            return relationship.name + (policy.map { " every \($0.copyFrequencySeconds) s" } ?? "")
        }
        let count = relationships.count == 1 ? "1 VM" : "\(relationships.count) VMs"
        let named = words.prefix(namedMost).joined(separator: ", ")
        let more = words.count > namedMost ? " and \(words.count - namedMost) more" : ""
        return "replicating \(count): \(named)\(more) (Ctrl-C stops)"
    }
}
