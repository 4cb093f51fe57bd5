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
        let wanted = Set([relationship.source, relationship.target] + clouds.flatMap(\.hosts))
        hosts = try vault.objects(Host.self).map(\.value).filter { wanted.contains($0.id) }
        policy = try vault.object(Policy.self, id: relationship.policy)?.value
        servers = all.filter { server in
            server.managementVM == relationship.name || clouds.contains { $0.server == server.id }
        }
        mappings =
            try pair.map { pair in
                try vault.objects(NetworkMapping.self, parent: pair.primary).map(\.value)
                    + vault.objects(NetworkMapping.self, parent: pair.recovery).map(\.value)
            } ?? []
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
