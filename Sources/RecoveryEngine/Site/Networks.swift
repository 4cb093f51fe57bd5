import Hypervisors
import SiteModel
import VaultStore

/// Where a VM's NICs are connected at the target.
extension JobDriver {
    /// Target network for each NIC that is given one, by MAC address (by network where it has none); nil leaves it unconnected.
    ///
    /// On the way home the failback table decides by what the NIC was connected to before it left (reference 1.8).
    func networks(for nics: [DomainNIC]) async throws -> [String: String?] {
        let plan = try await networkPlan()
        let homeward = relationship.target == relationship.home
        var targets: [String: String?] = [:]
        for nic in nics {
            let known = homeward ? relationship.nics?.first { $0.mac == nic.mac && !nic.mac.isEmpty } : nil
            if let known {
                let network = plan.home(of: known, present: nic.network)
                // One that was unconnected and stays so is left as it is.
                if nic.network != nil || network != nil { targets[nic.mac] = .some(network) }
            } else if let network = nic.network {
                targets[nic.mac.isEmpty ? network : nic.mac] = .some(plan.target(of: network))
            }
        }
        return targets
    }

    /// What the failover away from home makes of the VM's NICs, to be read on the way back; nil on the way home.
    func connections(of nics: [DomainNIC], _ targets: [String: String?]) -> [ReplicatedNIC]? {
        guard relationship.target != relationship.home else { return nil }
        return nics.filter { !$0.mac.isEmpty }.map { nic in
            ReplicatedNIC(mac: nic.mac, home: nic.network, away: targets[nic.mac] ?? nil)
        }
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
