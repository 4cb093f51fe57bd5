import Hypervisors
package import SiteModel

/// Two sites' connection.
package struct SimulatedLink: Hashable, Sendable {
    package var bytesPerSecond = 1.25e8
    package var latency = 0.002
    package var isCut = false
    /// Transfers that share it now.
    package var transfers = 0

    package init() {}
}

/// Everything that is so in a simulated world at one instant.
///
/// A value: a copy of it is another world that goes its own way.
package struct WorldState: Sendable {
    package var seed: UInt64
    /// When the world's clock begins.
    package var start: Timestamp
    package var hosts: [String: SimulatedHost] = [:]
    package var links: [SitePair: SimulatedLink] = [:]
    package var faults: [Fault] = []
    /// What was so and must never be.
    package private(set) var violations: [String] = []
    package var chance: SplitMix
    /// Compare each sealed point with what the source held at its instant.
    package var checksPoints = true
    /// Files that no longer hold what was written to them, as "host path": whoever checks them finds that.
    package var alteredFiles: Set<String> = []
    /// Content of the source at the instant of each generation that is on its way.
    var truth: [String: [String: LayeredContent]] = [:]
    var lastVersion: UInt64 = 0
    var trace: [String] = []
    var isTracing = false

    package init(seed: UInt64, start: Timestamp = Timestamp(milliseconds: 1_700_000_000_000)) {
        self.seed = seed
        self.start = start
        chance = SplitMix(seed: seed)
    }

    /// Moves the world's beginning: what has run for a while has done so at that time.
    mutating func begin(at start: Timestamp) {
        let shift = start.seconds(since: self.start)
        self.start = start
        for host in hosts.keys {
            for uuid in (hosts[host]?.domains ?? [:]).keys {
                guard let domain = hosts[host]?.domains[uuid] else { continue }
                hosts[host]?.domains[uuid]?.bootedAt = domain.bootedAt.advanced(bySeconds: shift)
                if domain.power == .running { hosts[host]?.domains[uuid]?.nextWrite += shift * 1_000_000 }
            }
        }
    }

    mutating func violate(_ sentence: String) {
        if !violations.contains(sentence) { violations.append(sentence) }
    }

    mutating func nextVersion() -> UInt64 {
        lastVersion += 1
        return lastVersion
    }

    /// The link between two sites; within a site nothing is slower than the disks.
    package func link(_ a: String, _ b: String) -> SimulatedLink {
        if let link = links[SitePair(a, b)] { return link }
        var link = SimulatedLink()
        if a == b {
            link.bytesPerSecond = 1e10
            link.latency = 0
        }
        return link
    }

    package func host(named name: String) throws -> SimulatedHost {
        guard let host = hosts[name] else {
            throw SimulationError.unknown("host", name, known: Array(hosts.keys))
        }
        return host
    }

    /// UUID of the VM of that name at a host.
    package func uuid(of vm: String, at host: String) throws -> String {
        let domains = try self.host(named: host).domains
        guard let found = domains.first(where: { $0.value.name == vm })?.key else {
            throw SimulationError.unknown("VM", vm, known: domains.values.map(\.name))
        }
        return found
    }
}

/// Two sites in either order.
package struct SitePair: Hashable, Sendable, Comparable {
    package let first: String
    package let second: String

    package init(_ a: String, _ b: String) {
        (first, second) = a < b ? (a, b) : (b, a)
    }

    package static func < (a: SitePair, b: SitePair) -> Bool { (a.first, a.second) < (b.first, b.second) }
}
