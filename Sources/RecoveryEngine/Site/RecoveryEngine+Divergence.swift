package import BlockReplication
import SiteModel
import VaultStore

/// What a former owner's disks hold that the VM went on without.
extension RecoveryEngine {
    /// Lists the blocks, or writes them to a new folder at the host that has them; nil when nothing is kept.
    ///
    /// Nothing is changed at either side but that folder.
    package func divergence(
        of relationshipID: String, exportingTo folder: String? = nil
    ) async throws -> (host: String, divergence: Divergence)? {
        let relationship = try await relationship(relationshipID)
        guard let kept = relationship.divergence else { return nil }
        let host = try await hosts.host(kept.host)
        let found = try await hosts.agent(kept.host).divergence(
            DivergenceRequest(
                relationship: relationship.id, action: folder.map { .export(folder: $0) } ?? .list))
        return found.map { (host.name, $0) }
    }

    /// Gives the blocks up: they are listed no more, and may go with the next change of the disks.
    ///
    /// The disks stay as they are.
    package func discardDivergence(of relationshipID: String, reason: String) async throws {
        let relationship = try await relationship(relationshipID)
        guard let kept = relationship.divergence else {
            throw EngineError(
                .unknown, "nothing that diverged is kept of \(relationship.name)",
                hint: "see: perilune status \(relationship.name)", object: relationship.name)
        }
        guard !reason.isEmpty else {
            throw EngineError(
                .invalid, "why the diverged blocks of \(relationship.name) are given up is not said",
                hint: "give the reason: it is kept in the events", object: relationship.name)
        }
        _ = try await hosts.agent(kept.host).divergence(
            DivergenceRequest(relationship: relationship.id, action: .discard))
        let host = try await hosts.host(kept.host)
        let now = dependencies.clock.now
        try await vault.write { vault in
            guard var current = try vault.object(Relationship.self, id: relationshipID) else { return }
            current.value.divergence = nil
            try vault.update(current)
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationshipID,
                    text: "what the disks of \(relationship.name) at \(host.name) held besides was given up: \(reason)",
                    code: "divergence-discarded", topic: .vm))
        }
    }
}
