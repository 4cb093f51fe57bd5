package import BlockReplication
import struct Foundation.Date
import struct Foundation.UUID
package import Hypervisors
package import SiteModel

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
