import SiteModel
import VaultStore

/// What the vault says, read in one go: the frame that every inspection hangs what it sees in.
struct InspectionRecord: Sendable {
    var hosts: [Host]
    var servers: [Server]
    var clouds: [Cloud]
    var policies: [Policy]
    var pairs: [CloudPair]
    var mappings: [NetworkMapping]
    /// Of VMs that are replicated.
    var relationships: [Relationship]
    var items: [ProtectedItem]
    /// When each relationship's last test failover succeeded.
    var lastTests: [String: Timestamp]

    static func read(_ vault: any Vault) async throws -> InspectionRecord {
        try await vault.read { vault in
            let relationships = try vault.objects(Relationship.self).map(\.value).filter { $0.state != .unprotected }
            var lastTests: [String: Timestamp] = [:]
            for relationship in relationships {
                lastTests[relationship.id] = try vault.objects(Job.self, parent: relationship.id).map(\.value)
                    .filter { $0.operation == .testFailover && $0.state == .succeeded }.compactMap(\.endedAt).max()
            }
            return InspectionRecord(
                hosts: try vault.objects(Host.self).map(\.value), servers: try vault.objects(Server.self).map(\.value),
                clouds: try vault.objects(Cloud.self).map(\.value),
                policies: try vault.objects(Policy.self).map(\.value),
                pairs: try vault.objects(CloudPair.self).map(\.value),
                mappings: try vault.objects(NetworkMapping.self).map(\.value), relationships: relationships,
                items: try vault.objects(ProtectedItem.self).map(\.value), lastTests: lastTests)
        }
    }

    func host(_ id: String) -> Host? { hosts.first { $0.id == id } }
    func cloud(_ id: String) -> Cloud? { clouds.first { $0.id == id } }
    func clouds(of host: String) -> [Cloud] { clouds.filter { $0.hosts.contains(host) } }
    func pair(of cloud: String) -> CloudPair? { pairs.first { $0.joins(cloud) } }

    /// Hosts that a host's agent sends to, now or after a failover: those of paired clouds, and the other ends of its VMs.
    func peers(of host: String) -> [Host] {
        var ids: Set<String> = []
        for cloud in clouds(of: host) {
            guard let other = pair(of: cloud.id)?.partner(of: cloud.id) else { continue }
            ids.formUnion(self.cloud(other)?.hosts ?? [])
        }
        for relationship in relationships {
            if relationship.source == host { ids.insert(relationship.target) }
            if relationship.target == host { ids.insert(relationship.source) }
        }
        ids.remove(host)
        return hosts.filter { ids.contains($0.id) }
    }

    /// Scratch space that the largest VM needs at a host, wherever it runs now; none where nothing is replicated.
    func scratchNeeded(at host: String) -> UInt64 {
        let here = relationships.filter { $0.source == host || $0.target == host }
        if here.isEmpty {
            return clouds(of: host).contains { pair(of: $0.id) != nil } ? ScratchReserve.bytes(for: []) : 0
        }
        return here.map { ScratchReserve.bytes(for: $0.disks) }.max() ?? 0
    }

    /// Space that replicas at a host still need: a tenth for what changes, and all of a disk that is not copied yet.
    func storeNeeded(at host: String) -> (least: UInt64, most: UInt64) {
        var (least, most): (UInt64, UInt64) = (0, 0)
        for relationship in relationships where relationship.target == host {
            let size = relationship.disks.reduce(0) { $0 + $1.size }
            least += size / 10
            most += relationship.newestGeneration == nil ? size : size / 10
        }
        return (least, most)
    }

    /// Where the NICs of a VM go when it leaves its source.
    func networkPlan(of relationship: Relationship) -> NetworkPlan {
        let returning = relationship.target == relationship.home
        guard let item = items.first(where: { $0.id == relationship.item }),
            let pair = pairs.first(where: { $0.id == item.pair })
        else { return NetworkPlan(networks: relationship.networks, returning: returning) }
        return returning
            ? NetworkPlan(from: pair.recovery, to: pair.primary, mappings: mappings)
            : NetworkPlan(from: pair.primary, to: pair.recovery, mappings: mappings)
    }

    func mappings(of pair: CloudPair) -> [NetworkMapping] {
        mappings.filter { $0.sourceCloud == pair.primary && $0.targetCloud == pair.recovery }
    }
}
