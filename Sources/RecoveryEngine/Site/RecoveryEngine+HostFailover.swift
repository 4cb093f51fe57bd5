import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

extension RecoveryEngine {
    /// Takes over what the target's host did with no vault, of this VM and of all others that it is the target of; and, of
    /// this VM, what it was told by a later state of this vault than this copy is.
    ///
    /// A failover that began in ignorance of it would begin a second one; and whether the management server's VM runs is asked
    /// of the vault when its workloads are failed over. A host that does not answer has nothing to tell.
    func learnOfHostFailovers(of wanted: Relationship, at target: String) async throws {
        guard let agent = try await hosts.reachableAgent(target) else { return }
        let claims = try await agent.standings().filter {
            $0.record?.claim != nil || ($0.relationship == wanted.id && $0.record?.epoch ?? 0 > wanted.epoch)
        }
        guard !claims.isEmpty, let hypervisor = try await hosts.reachableHypervisor(target) else { return }
        let (host, domains) = (try await hosts.host(target), try await hypervisor.domains())
        let visit = HostVisit(engine: self, host: host, hypervisor: hypervisor, agent: agent) { _ in }
        for standing in claims {
            guard let record = standing.record else { continue }
            let id = record.relationship
            let found = try await vault.read { try $0.object(Relationship.self, id: id)?.value }
            guard let relationship = found, relationship.activeJob == nil, relationship.epoch < record.epoch
            else { continue }
            try await visit.see(relationship, standing, domains.first { $0.uuid == relationship.vmUUID })
        }
    }
}
