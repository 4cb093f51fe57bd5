internal import ArgumentParser
import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel

/// What is done at a host with no vault.
struct HostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "What a host does by itself, with no vault.",
        subcommands: [HostFailoverCommand.self])
}

/// Brings a VM up at the host that holds its points, with no vault.
struct HostFailoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Brings a VM up from this host's points, with no vault: the management server's own VM first.",
        discussion: """
            Needs this host's libvirt and agent, and the manifest beside the points. One of these must be given:

              --declared-lost          the source is lost: your word, recorded
              --fence                  end the source's whole host by the fence that the record names
              --fence-command PROGRAM ARGUMENT...   the same by this command (the last option)

            What was done is left at the host; a vault that is back takes it over (perilune replicate).
            """)

    @Argument(help: "The VM's name.")
    var vm: String

    @Option(help: "Folder that holds this host's recovery points.")
    var store: String

    @Option(help: "This host's libvirt connection.")
    var uri = "qemu:///system"

    @Option(help: "Path of this host's agent's control socket.")
    var agent = "/run/perilune/agent.sock"

    @Option(help: "Recovery point: latest, a number or a generation.")
    var point = "latest"

    @Option(parsing: .singleValue, help: "FROM=TO: the network here for one of the source's. Repeatable.")
    var network: [String] = []

    @Flag(help: "The source is lost: your word, recorded.")
    var declaredLost = false

    @Flag(help: "End the source's host by the fence that is recorded.")
    var fence = false

    @Option(parsing: .remaining, help: "End the source's host by this command; status 0 is proof.")
    var fenceCommand: [String] = []

    func validate() throws {
        guard [declaredLost, fence, !fenceCommand.isEmpty].count(where: { $0 }) == 1 else {
            throw ValidationError("say how the source is down: --declared-lost, --fence or --fence-command PROGRAM ...")
        }
        _ = try networks()
    }

    private func networks() throws -> [String: String] {
        var networks: [String: String] = [:]
        for pair in network {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw ValidationError("--network \(pair): write FROM=TO") }
            networks[parts[0]] = parts[1]
        }
        return networks
    }

    func run() async throws {
        try await Failure.reporting {
            let failover = HostFailover(
                hypervisor: try LibvirtHypervisor(uri: uri), agent: AgentClient(controlSocket: agent),
                fencing: CommandFencing(), clock: SystemClock(), manifests: try HostFailover.manifests(inStore: store),
                runsAtSource: Self.runs)
            let outcome = try await failover.run(
                vm: vm, source: declaredLost ? .declaredLost : fence ? .recordedFence : .fence(fenceCommand),
                point: point, networks: try networks())
            report(outcome)
        }
    }

    /// Whether a VM runs at a host that can be reached from here; nil when it cannot.
    private static func runs(at host: SiteModel.Host, vm uuid: String) async -> Bool? {
        guard let hypervisor = try? LibvirtHypervisor(uri: host.uri) else { return nil }
        return try? await hypervisor.domain(uuid: uuid)?.power.isActive ?? false
    }

    private func report(_ outcome: HostFailover.Outcome) {
        Terminal.say(
            "\(vm): \(outcome.runs ? "runs" : "was started and does not run on") here from point \(outcome.point.number) "
                + "of \(Text.time(outcome.point.at)), epoch \(outcome.epoch), source \(outcome.verdict.rawValue) down")
        for (source, target) in outcome.networks.sorted(by: { $0.key < $1.key }) {
            Terminal.say("  network \(source) -> \(target ?? "none")")
        }
        for finding in outcome.findings { Terminal.say("  \(finding)") }
        Terminal.say("  the vault, when it is back, takes this over: perilune replicate")
    }
}
