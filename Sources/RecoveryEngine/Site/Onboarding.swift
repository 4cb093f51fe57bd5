import SiteModel
import VaultStore

/// Taking a VM that hosts replicate already into a cloud: its points stay, and no first copy is made (rule 8).
extension RecoveryEngine {
    /// The item that a VM got which the hosts replicate already; nil when they do not.
    ///
    /// - Throws: `EngineError` of kind `refused` when its hosts or its policy are not those of the pair.
    func onboard(_ name: String, in cloud: Cloud, _ pair: CloudPair, run: RunStep?) async throws -> ProtectedItem? {
        let (id, now) = (dependencies.identifiers.next(), dependencies.clock.now)
        let made = try await vault.write { vault -> (item: ProtectedItem, state: ReplicationState)? in
            guard var stored = try vault.object(Relationship.self, named: name, parent: nil), stored.value.item == nil
            else { return nil }
            let recovery = try vault.object(Cloud.self, id: pair.recovery)?.value
            if let refusal = Guards.checkOnboarding(
                of: stored.value, pair: pair, primaryHosts: try vault.hostIDs(of: cloud),
                recoveryHosts: try recovery.map { try vault.hostIDs(of: $0) } ?? [])
            {
                throw Self.refused(refusal)
            }
            let item = ProtectedItem(
                id: id, name: name, cloud: cloud.id, pair: pair.id, relationship: stored.value.id)
            stored.value.item = id
            try vault.update(stored)
            try vault.insert(item)
            try vault.append(
                Event(
                    at: now, severity: .info, object: stored.value.id,
                    text: "\(name) is protected through cloud \(cloud.name) now; its recovery points stay",
                    code: "onboarded", topic: .vm))
            return (item, stored.value.state)
        }
        guard let made else { return nil }
        if made.state == .unprotected { try await perform(.protect, on: made.item.relationship, run: run) }
        return made.item
    }
}
