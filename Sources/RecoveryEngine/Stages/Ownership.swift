import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Who may write: the vault's record, and the copies of it at the hosts.
extension JobDriver {
    /// Refuses to go on when the host's own record shows a later ownership than the vault's, or another owner.
    func checkOwnership(of host: String) async throws {
        guard relationship.owner == host else {
            throw EngineError(
                .failed, "\(relationship.name) is not owned by the host that was to be read",
                hint: "see: perilune status", object: relationship.name)
        }
        guard let record = try await hosts.agent(host).ownership(relationship: relationship.id) else { return }
        guard record.owner == host, record.epoch <= relationship.epoch else {
            throw EngineError(
                .vaultBehind,
                "the host's record says that \(relationship.name) is owned by another host (epoch \(record.epoch))",
                hint: "this vault is behind the hosts: do not go on from it before that is understood",
                object: relationship.name)
        }
    }

    /// Writes the present ownership at these hosts.
    ///
    /// A host that does not take it is an error only when `required`: a lost side must not hold up the other.
    ///
    /// Without `marking`, a definition that is there keeps its old mark, and libvirt's hook keeps it from starting.
    func recordOwnershipAtHosts(_ ids: [String], required: Bool, marking: Bool = true) async throws {
        for id in ids {
            do {
                try await recordOwnership(at: id, marking: marking)
            } catch let error where !required && (error is ReplicationError || error is HypervisorError) {
                let (now, name, host, what) = (
                    now, relationship.name, try await hosts.host(id).name, Self.describe(error).message
                )
                try await record { _, relationship, vault in
                    try vault.append(
                        Event(
                            at: now, severity: .warning, object: relationship.id,
                            text: "\(host) did not take the new ownership of \(name): \(what)"))
                }
            }
        }
    }

    private func recordOwnership(at id: String, marking: Bool) async throws {
        let record = relationship.ownershipRecord(at: id)
        var untold: ReplicationError?
        do {
            try await hosts.record(record, at: try await hosts.agent(id))
        } catch let error as ReplicationError where ![.staleEpoch, .invalidArgument].contains(error.code) {
            // libvirt may answer where the agent does not, and its hook refuses a definition of another epoch than the record's.
            untold = error
        }
        if marking { try await mark(record, at: id) }
        if let untold { throw untold }
    }

    /// Writes the ownership into the VM's definition at a host, where there is one.
    private func mark(_ record: OwnershipRecord, at id: String) async throws {
        if let hypervisor = try await hosts.reachableHypervisor(id),
            try await hypervisor.domain(uuid: relationship.vmUUID) != nil
        {
            try await hypervisor.setOwnership(
                uuid: relationship.vmUUID,
                Ownership(relationship: record.relationship, owner: record.owner, epoch: record.epoch))
        }
    }

    /// Raises the epoch and makes `owner` the one host whose copy may be written: first in the vault, then at the hosts.
    ///
    /// `change` is what else becomes true of the relationship in the same instant.
    func takeOwnership(
        for owner: String, _ change: @escaping @Sendable (inout Relationship) -> Void
    ) async throws {
        if fact("epoch") == nil {
            // A copy of the vault that was superseded must not raise an epoch: the new owner's agent knows.
            // One that does not answer could not take what follows: ownership stays where it is.
            guard try await hosts.reachableAgent(owner) != nil else {
                throw EngineError(
                    .unreachable,
                    "the agent of \(try await hosts.host(owner).name), which is to own \(relationship.name), is away",
                    hint: "start it there and repeat; ownership has not changed", object: relationship.name)
            }
            try await record { job, relationship, _ in
                relationship.epoch += 1
                relationship.owner = owner
                job.facts["epoch"] = String(relationship.epoch)
                change(&relationship)
            }
        }
        let other = owner == relationship.source ? relationship.target : relationship.source
        // What is defined there now is of an older ownership: it is not to be started before its stage has seen to it.
        try await recordOwnershipAtHosts([owner], required: true, marking: false)
        try await recordOwnershipAtHosts([other], required: false)
    }
}
