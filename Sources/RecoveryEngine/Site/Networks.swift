import SiteModel
import VaultStore

/// Where a VM's NICs are connected at the target.
extension JobDriver {
    /// Target network for each source network; nil leaves the NIC unconnected.
    func networks(for sources: [String]) async throws -> [String: String?] {
        let plan = try await networkPlan()
        var targets: [String: String?] = [:]
        for source in sources { targets[source] = .some(plan.target(of: source)) }
        return targets
    }

    private func networkPlan() async throws -> NetworkPlan {
        let relationship = relationship
        let homeward = relationship.target == relationship.home
        return try await dependencies.vault.read { vault in
            guard let itemID = relationship.item, let item = try vault.object(ProtectedItem.self, id: itemID)?.value,
                let pair = try vault.object(CloudPair.self, id: item.pair)?.value
            else { return NetworkPlan(networks: relationship.networks, returning: homeward) }
            let mappings = try
                (vault.objects(NetworkMapping.self, parent: pair.primary)
                + vault.objects(NetworkMapping.self, parent: pair.recovery)).map(\.value)
            return homeward
                ? NetworkPlan(from: pair.recovery, to: pair.primary, mappings: mappings)
                : NetworkPlan(from: pair.primary, to: pair.recovery, mappings: mappings)
        }
    }
}
