package import BlockReplication
import struct Foundation.Date
import struct Foundation.TimeZone
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
