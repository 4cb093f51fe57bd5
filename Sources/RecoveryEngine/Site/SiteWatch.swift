import BlockReplication
import Hypervisors
package import SiteModel
import VaultStore

/// What a look at the hosts found and did.
package enum WatchNews: Sendable, Hashable {
    /// A host's records were confirmed after its boot.
    case confirmed(vm: String, host: String)
    /// A VM was started by its owner, where it ran before the host went down.
    case started(vm: String, host: String)
    /// A VM's former owner came back with its copy.
    case formerCopy(vm: String, host: String, FormerCopy.State)
    /// A host had failed a VM over with no vault; the vault knows of it now.
    case takenOver(vm: String, host: String)
    case trouble(vm: String, String)
}

/// Keeps the hosts' idea of who owns which VM and the vault's in step.
///
/// A host that comes back, after a boot or a partition, knows nothing of what happened meanwhile. So it is told; what it owns
/// still is confirmed and started, what it owns no more is kept from running. A VM with an operation under way is left to it,
/// but for one thing: a copy that runs on an ownership that has ended is suspended, however long the operation waits.
///
/// Repeating a look does nothing; several processes may look at once.
package struct SiteWatch: Sendable {
    /// Seconds between two looks.
    package static let interval = 5.0

    let engine: RecoveryEngine
    let report: @Sendable (WatchNews) -> Void

    package init(engine: RecoveryEngine, report: @escaping @Sendable (WatchNews) -> Void) {
        self.engine = engine
        self.report = report
    }

    /// Looks again and again until it is cancelled.
    package func run() async throws {
        while !Task.isCancelled {
            try await look()
            try await engine.dependencies.clock.sleep(seconds: Self.interval)
        }
    }

    /// Looks at every host that answers, once.
    package func look() async throws {
        if let refusal = try await engine.vault.identity()?.refusal(nil) { throw refusal }
        let (hosts, relationships) = try await engine.vault.read { vault in
            (
                try vault.objects(Host.self).map(\.value),
                try vault.objects(Relationship.self).map(\.value).filter { try Self.isWatched($0, vault) }
            )
        }
        // A host that is silent holds up nobody but itself.
        try await withThrowingDiscardingTaskGroup { group in
            for host in hosts {
                let concerned = relationships.filter { $0.source == host.id || $0.target == host.id }
                if !concerned.isEmpty { group.addTask { try await look(at: host, concerned) } }
            }
        }
    }

    /// An undo takes the ownership back before it ends the VM that it takes it from: that copy is its own business, unless it
    /// was given up with its host.
    private static func isWatched(_ relationship: Relationship, _ vault: any VaultReader) throws -> Bool {
        guard relationship.state != .unprotected else {
            return relationship.activeJob == nil && (relationship.unseenCopy ?? relationship.untoldOwner) != nil
        }
        guard let job = relationship.activeJob else { return true }
        guard let open = try vault.object(Job.self, id: job)?.value, open.operation == .undo else { return true }
        return open.facts["targetVerdict"] != nil
    }

    private func look(at host: Host, _ relationships: [Relationship]) async throws {
        guard let hypervisor = try await engine.hosts.reachableHypervisor(host.id) else { return }
        // Without its agent little can be learned of a host, and yet a copy that must not run can be kept from it.
        let agent = try await engine.hosts.reachableAgent(host.id)
        let visit = HostVisit(engine: engine, host: host, hypervisor: hypervisor, agent: agent, report: report)
        do {
            let standings = try await agent?.standings() ?? []
            let domains = try await hypervisor.domains()
            for relationship in relationships {
                do {
                    try await visit.see(
                        relationship, standings.first { $0.relationship == relationship.id },
                        domains.first { $0.uuid == relationship.vmUUID })
                } catch let error where !(error is VaultError) && !(error is CancellationError) {
                    report(.trouble(vm: relationship.name, JobDriver.describe(error).message))
                }
            }
        } catch is HypervisorError {
        } catch is ReplicationError {
            // It went away in between: it is looked at again.
        }
    }
}
