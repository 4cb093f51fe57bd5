import Hypervisors
import SiteModel
import VaultStore

/// Guests that were held for an instant by an engine that is no more.
extension RecoveryEngine {
    /// Lets go of those that no open job has: of one with a job, whoever drives that does so first.
    package func releaseHeldGuests() async throws {
        let held = try await vault.read { vault in
            try vault.objects(Relationship.self).map(\.value).filter { $0.heldGuest != nil && $0.activeJob == nil }
        }
        for relationship in held { try await releaseGuest(of: relationship.id) }
    }

    private func releaseGuest(of id: String) async throws {
        let relationship = try await relationship(id)
        guard let held = relationship.heldGuest, relationship.activeJob == nil else { return }
        // A copy whose ownership has ended must not be made to run.
        var released = held.holds
        if held.host == relationship.owner {
            let hypervisor = try await hosts.hypervisor(held.host)
            released = []
            for hold in held.holds where (try? await hypervisor.letGo(uuid: relationship.vmUUID, from: hold)) != nil {
                released.append(hold)
            }
        }
        let gone = released
        guard !gone.isEmpty else { return }
        try await vault.write { vault in
            guard var current = try vault.object(Relationship.self, id: id), current.value.heldGuest == held else {
                return
            }
            for hold in gone { current.value.noteLetGo(from: hold) }
            try vault.update(current)
        }
    }
}
