import BlockReplication
import SiteModel
import VaultStore

/// Which points stay once a new one is whole.
extension JobDriver {
    /// Makes the points that the policy does not keep points no more: in the vault, then at the target.
    ///
    /// A test VM's point stays whatever the policy says, and is given apart: its files are read by name.
    func keepPolicyPoints() async throws {
        let (id, policyID) = (relationship.id, relationship.policy)
        let pinned = relationship.test.map { [$0.generation] } ?? []
        let keeping = try await dependencies.vault.read { vault in
            let policy = try vault.object(Policy.self, id: policyID)?.value
            let points = try vault.objects(RecoveryPoint.self, parent: id).map(\.value)
            let kept = Set(Retention.kept(points, extra: policy?.recoveryPoints ?? 0).map(\.id))
                .union(try GroupPoint.kept(of: id, in: vault))
            return points.filter { kept.contains($0.id) }.sorted { $0.number < $1.number }.map(\.id)
        }
        let stay = Set(keeping + pinned)
        // First in the vault: what it lists can be failed over to, whenever this is interrupted.
        try await record { _, _, vault in try Self.dropPoints(of: id, besides: stay, in: vault) }
        let kept = try await hosts.agent(relationship.target).keepPoints(
            relationship: id, keeping: keeping, pinned: pinned)
        let generations = Set(kept.map(\.generation))
        try await record { _, _, vault in try Self.dropPoints(of: id, besides: generations, in: vault) }
        try await noteChecks(kept)
    }

    private static func dropPoints(
        of relationship: String, besides kept: Set<String>, in vault: any VaultWriter
    ) throws {
        for point in try vault.objects(RecoveryPoint.self, parent: relationship) where !kept.contains(point.value.id) {
            try vault.delete(point)
        }
        try GroupPoint.takeApart(losing: relationship, in: vault)
    }
}
