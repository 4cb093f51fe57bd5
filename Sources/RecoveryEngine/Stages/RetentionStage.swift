import SiteModel
import VaultStore

/// Which points stay once a new one is whole.
extension JobDriver {
    /// Makes points that the policy keeps no longer points no more: in the vault, then at the target.
    func keepPolicyPoints() async throws {
        let policyID = relationship.policy
        let policy = try await dependencies.vault.read { try $0.object(Policy.self, id: policyID)?.value }
        let pinned = relationship.test.map { [$0.generation] } ?? []
        let most = 1 + (policy?.recoveryPoints ?? 0)
        // First in the vault: what it lists can be failed over to, whenever this is interrupted.
        try await record { _, relationship, vault in
            let points = try vault.objects(RecoveryPoint.self, parent: relationship.id)
                .sorted { $0.value.number < $1.value.number }
            for point in points.dropLast(most) where !pinned.contains(point.value.id) { try vault.delete(point) }
        }
        let kept = try await hosts.agent(relationship.target).keepPoints(
            relationship: relationship.id, newest: most, pinned: pinned)
        let generations = Set(kept.map(\.generation))
        try await record { _, relationship, vault in
            for point in try vault.objects(RecoveryPoint.self, parent: relationship.id)
            where !generations.contains(point.value.id) {
                try vault.delete(point)
            }
        }
    }
}
