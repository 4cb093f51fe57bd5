package import BlockReplication
import struct Foundation.Date
import struct Foundation.TimeZone
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

/// The machine's own time zone.
package enum LocalTime {
    package static func offset(_ instant: Timestamp) -> Int {
        TimeZone.current.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant.milliseconds) / 1000))
    }
}

/// The machine's own source of randomness.
package enum SystemRandom {
    package static func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
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
