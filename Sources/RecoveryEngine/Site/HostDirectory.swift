package import BlockReplication
package import Hypervisors
package import SiteModel
package import VaultStore

/// Finds hosts by id and what stands for them.
package struct HostDirectory: Sendable {
    let vault: any Vault
    let connections: any Connections

    package func host(_ id: String) async throws -> Host {
        guard let host = try await vault.read({ try $0.object(Host.self, id: id) }) else {
            throw EngineError(.unknown, "the vault has no host with id \(id)", hint: "see: perilune vault show")
        }
        return host.value
    }

    package func hypervisor(_ id: String) async throws -> any Hypervisor {
        try await connections.hypervisor(of: host(id))
    }

    package func agent(_ id: String) async throws -> any Agent {
        try await connections.agent(of: host(id))
    }

    /// The hypervisor if it answers, else nil.
    ///
    /// One that answers with an error only (its disks are dead, its daemon hangs) is as good as none.
    package func reachableHypervisor(_ id: String) async throws -> (any Hypervisor)? {
        let hypervisor = try await hypervisor(id)
        do {
            _ = try await hypervisor.information()
            return hypervisor
        } catch is HypervisorError {
            return nil
        }
    }

    /// The agent if it answers, else nil; see `reachableHypervisor`.
    package func reachableAgent(_ id: String) async throws -> (any Agent)? {
        let agent = try await agent(id)
        do {
            _ = try await agent.status()
            try await present(to: agent)
            return agent
        } catch is ReplicationError {
            return nil
        }
    }

    /// Tells the agent which copy of the vault asks; one that has been superseded learns of it here, and stands back.
    private func present(to agent: any Agent) async throws {
        guard let identity = try await vault.identity() else { return }
        try await vault.obeyed(as: identity) { try await agent.attend(identity.standing) }
    }

    /// Writes a record of ownership at a host, in this vault's name: a host that obeys another copy of it takes none.
    func record(_ record: OwnershipRecord, at agent: any Agent) async throws {
        guard let identity = try await vault.identity() else { return try await agent.recordOwnership(record) }
        var named = record
        named.vault = identity.standing
        try await vault.obeyed(as: identity) { [named] in try await agent.recordOwnership(named) }
    }
}

extension Vault {
    /// Runs what an agent refuses to a copy of the vault that another was promoted over: then this one stands back.
    func obeyed(as identity: VaultIdentity, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as ReplicationError {
            guard let (epoch, promotion) = error.obeyed else { throw error }
            throw try await standBack(identity, for: epoch, as: promotion)
        }
    }
}

extension VaultIdentity {
    /// How the vault names itself to agents.
    package var standing: VaultStanding { VaultStanding(id: id, epoch: epoch, promotion: promotion, heirTo: heirTo) }
}
