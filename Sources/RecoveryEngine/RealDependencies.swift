package import BlockReplication
import struct Foundation.Date
import struct Foundation.UUID
package import Hypervisors
package import SiteModel
import Subprocess
import SystemPackage

/// The machine's own clock.
package struct SystemClock: EngineClock {
    package init() {}

    package var now: Timestamp {
        Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
    }

    package func sleep(seconds: Double) async throws {
        try await Task.sleep(for: .seconds(seconds))
    }
}

/// Random UUIDs.
package struct RandomIdentifiers: IdentifierSource {
    package init() {}

    package func next() -> String { UUID().uuidString.lowercased() }
}

/// libvirt and the agents' control sockets, one connection of each a host, kept open.
package actor LibvirtConnections: Connections {
    private var hypervisors: [String: any Hypervisor] = [:]
    private var agents: [String: any Agent] = [:]

    package init() {}

    package func hypervisor(of host: SiteModel.Host) async throws -> any Hypervisor {
        if let open = hypervisors[host.uri] { return open }
        let made = try LibvirtHypervisor(uri: host.uri)
        hypervisors[host.uri] = made
        return made
    }

    package func agent(of host: SiteModel.Host) async throws -> any Agent {
        if let open = agents[host.agentSocket] { return open }
        let made = AgentClient(controlSocket: host.agentSocket)
        agents[host.agentSocket] = made
        return made
    }
}

/// Runs a host's fence command; exit status 0 is proof, anything else leaves the host's state unknown.
package struct CommandFencing: Fencing {
    /// How long a fence command may take before it is ended and says nothing.
    private let limit: Duration

    package init(limit: Duration = .seconds(120)) {
        self.limit = limit
    }

    package func fence(_ host: SiteModel.Host) async -> SourceVerdict {
        guard let program = host.fence.first else { return .unknown }
        let arguments = Array(host.fence.dropFirst())
        return await withTaskGroup(of: SourceVerdict.self) { group in
            group.addTask {
                let result = try? await Subprocess.run(
                    .path(FilePath(program)), arguments: .init(arguments), output: .discarded, error: .discarded)
                return result?.terminationStatus.isSuccess == true ? .proven : .unknown
            }
            group.addTask {
                try? await Task.sleep(for: limit)
                return .unknown
            }
            let verdict = await group.next() ?? .unknown
            group.cancelAll()
            return verdict
        }
    }
}
