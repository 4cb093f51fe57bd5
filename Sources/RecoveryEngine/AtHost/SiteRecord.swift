import class Foundation.JSONDecoder
import class Foundation.JSONEncoder
import struct Foundation.Data
package import SiteModel
package import VaultStore

/// What the vault knows of one VM's replication, as it is kept beside the points: enough to bring the VM up with no vault, and
/// to make a vault anew.
///
/// It travels with every point. Nothing of it is believed over what the host itself has recorded of ownership.
package struct SiteRecord: Codable, Sendable, Hashable {
    package var relationship: Relationship
    package var item: ProtectedItem?
    package var hosts: [Host]
    package var policy: Policy?
    package var servers: [Server]
    package var clouds: [Cloud]
    package var pair: CloudPair?
    package var mappings: [NetworkMapping]
    /// Of the clouds; nil, as all that follows, in what an older version has kept.
    package var clusters: [HostCluster]?
    /// What is described of the networks that the VM's NICs are on here or elsewhere.
    package var logicalNetworks: [LogicalNetwork]?
    package var vmNetworks: [VMNetwork]?
    /// Classes that the VM's disks are of, and those that they are mapped to.
    package var storageClasses: [StorageClass]?
    package var storageMappings: [StorageMapping]?
    /// The recovery plans that the VM is in, as they were when the point was made.
    package var plans: [RecoveryPlan]?
    /// Who was told of what happens, without what is secret in it: of a webhook, no more than whose it is.
    package var alerts: [AlertRule]?

    /// Bytes of alerts that travel with a point; past that, they are in the vault alone.
    private static let alertLimit = 32 << 10
    /// Bytes of plans that travel with a point; past that, they are in the vault and in their files alone.
    private static let planLimit = 256 << 10

    /// Reads it from a vault.
    package init(of relationship: Relationship, in vault: any VaultReader) throws {
        self.relationship = relationship
        // A job is the vault's own business, and says nothing to who reads this.
        self.relationship.activeJob = nil
        let item = try relationship.item.flatMap { try vault.object(ProtectedItem.self, id: $0)?.value }
        let pair = try item.flatMap { try vault.object(CloudPair.self, id: $0.pair)?.value }
        let all = try vault.objects(Server.self).map(\.value)
        let clouds = try [pair?.primary, pair?.recovery].compactMap { id in
            try id.flatMap { try vault.object(Cloud.self, id: $0)?.value }
        }
        self.item = item
        self.pair = pair
        self.clouds = clouds
        let clusters = try Set(clouds.flatMap { $0.clusters ?? [] }).sorted().compactMap {
            try vault.object(HostCluster.self, id: $0)?.value
        }
        self.clusters = clusters
        policy = try vault.object(Policy.self, id: relationship.policy)?.value
        servers = all.filter { server in
            server.managementVM == relationship.name || clouds.contains { $0.server == server.id }
        }
        mappings =
            try pair.map { pair in
                try vault.objects(NetworkMapping.self, parent: pair.primary).map(\.value)
                    + vault.objects(NetworkMapping.self, parent: pair.recovery).map(\.value)
            } ?? []
        let managers = Set(clouds.map(\.server)).sorted()
        (logicalNetworks, vmNetworks) = try Self.networks(of: relationship, mappings, managers, vault)
        let (classes, storage) = try Self.storage(of: relationship, managers, vault)
        (storageClasses, storageMappings) = (classes, storage)
        plans = try Self.plans(of: relationship, vault)
        let alerts = try vault.objects(AlertRule.self).map(\.value.withoutSecrets)
        self.alerts = try JSONEncoder().encode(alerts).count <= Self.alertLimit ? alerts : nil
        let wanted = Set(
            [relationship.source, relationship.target] + clouds.flatMap { $0.allHosts(in: clusters) }
                + clusters.flatMap(\.hosts) + classes.flatMap { $0.locations.map(\.host) })
        hosts = try vault.objects(Host.self).map(\.value).filter { wanted.contains($0.id) }
    }

    /// What the servers describe of the networks that the VM may be connected to: subnets, pools, isolation.
    private static func networks(
        of relationship: Relationship, _ mappings: [NetworkMapping], _ servers: [String], _ vault: any VaultReader
    ) throws -> ([LogicalNetwork], [VMNetwork]) {
        var names = Set(mappings.flatMap { [$0.name, $0.targetNetwork] })
        names.formUnion(relationship.networks.flatMap { [$0.key, $0.value] })
        names.formUnion((relationship.nics ?? []).flatMap { [$0.home, $0.away].compactMap { $0 } })
        var found: ([LogicalNetwork], [VMNetwork]) = ([], [])
        for logical in try servers.flatMap({ try vault.objects(LogicalNetwork.self, parent: $0) }).map(\.value) {
            let own = try vault.objects(VMNetwork.self, parent: logical.id).map(\.value).filter {
                names.contains($0.name)
            }
            guard !own.isEmpty else { continue }
            found.0.append(logical)
            found.1 += own
        }
        return found
    }

    private static func plans(of relationship: Relationship, _ vault: any VaultReader) throws -> [RecoveryPlan]? {
        let plans = try vault.objects(RecoveryPlan.self).map(\.value).filter { plan in
            plan.groups.contains { $0.vms.contains(relationship.name) }
        }
        // What does not fit must not keep the point from being made.
        guard !plans.isEmpty, try JSONEncoder().encode(plans).count <= planLimit else { return nil }
        return plans
    }

    /// The classes that the VM's disks lie in, at whichever host, with what they are mapped to.
    private static func storage(
        of relationship: Relationship, _ servers: [String], _ vault: any VaultReader
    ) throws -> ([StorageClass], [StorageMapping]) {
        var places = relationship.disks.flatMap(\.images).map { (host: $0.key, path: $0.value.path) }
        places += relationship.disks.compactMap(\.original).map { (host: relationship.home, path: $0.path) }
        let all = try servers.flatMap { try vault.objects(StorageClass.self, parent: $0) }.map(\.value)
        var classes = all.filter { storage in places.contains { storage.holds($0.path, at: $0.host) } }
        let mappings = try classes.flatMap { try vault.objects(StorageMapping.self, parent: $0.id) }.map(\.value)
        for mapping in mappings where !classes.contains(where: { $0.id == mapping.target }) {
            if let target = try vault.object(StorageClass.self, id: mapping.target)?.value { classes.append(target) }
        }
        return (classes, mappings)
    }

    /// As it is kept: JSON, with keys in order so that what did not change is not written again.
    package func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// Reads what was kept; nil when an older version kept nothing, or a newer one something else.
    package init?(text: String?) {
        guard let text, let record = try? JSONDecoder().decode(SiteRecord.self, from: Data(text.utf8)) else {
            return nil
        }
        self = record
    }

    package func host(_ id: String) -> Host? { hosts.first { $0.id == id } }

    /// Where NICs are connected when the VM starts at `host`.
    package func networkPlan(to host: String) -> NetworkPlan {
        let homeward = host == relationship.home
        guard let pair else { return NetworkPlan(networks: relationship.networks, returning: homeward) }
        return homeward
            ? NetworkPlan(from: pair.recovery, to: pair.primary, mappings: mappings)
            : NetworkPlan(from: pair.primary, to: pair.recovery, mappings: mappings)
    }
}
