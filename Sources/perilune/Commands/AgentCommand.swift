internal import ArgumentParser
import BlockReplication

/// The agent of one host: moves blocks, keeps points.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "Runs the agent of this host: it moves blocks and keeps recovery points.")

    @Option(help: "The site's name.")
    var site: String

    @Option(help: "Path of the control socket that engines connect to.")
    var socket: String

    @Option(help: "Address, as host:port, at which other agents' data is received.")
    var listen: String

    @Option(help: "Folder that holds recovery points.")
    var store: String

    func run() async throws {
        try await Failure.reporting {
            try await runAgent(site: site, controlSocket: socket, listen: listen, store: store)
        }
    }
}
