import Hypervisors
import SiteModel
import VaultStore

/// Asking how replication stands.
extension RecoveryEngine {
    /// Health of every VM that is or was replicated, by name.
    package func health() async throws -> VaultHealth {
        let now = dependencies.clock.now
        let offset = dependencies.localOffset(now)
        return try await vault.read { vault in
            let names = HealthNames()
            return VaultHealth(
                items: try vault.objects(Relationship.self).map {
                    try ItemHealth.read($0.value, names, vault, now: now, offset: offset)
                }, at: now)
        }
    }

    /// Health of one VM; with `pending`, its source is asked how much waits to be sent.
    package func health(of relationshipID: String, pending: Bool = false) async throws -> ItemHealth {
        let (now, asked) = (dependencies.clock.now, pending ? try await pendingBytes(of: relationshipID) : nil)
        let offset = dependencies.localOffset(now)
        return try await vault.read { vault in
            guard let relationship = try vault.object(Relationship.self, id: relationshipID)?.value else {
                throw EngineError(
                    .unknown, "the vault has no relationship \(relationshipID)", hint: "see: perilune status")
            }
            var health = try ItemHealth.read(relationship, HealthNames(), vault, now: now, offset: offset)
            if let asked {
                health.statistics?.pendingBytes = asked
                health.statistics?.pendingAt = now
            }
            return health
        }
    }

    /// Bytes of the VM's disks that changed since its newest point, as its hypervisor's change map says; nil where that is not
    /// to be had cheaply: the source does not answer, the VM is off, or its map is not usable.
    package func pendingBytes(of relationshipID: String) async throws -> UInt64? {
        let relationship = try await relationship(relationshipID)
        guard relationship.state.isCopied, relationship.activeJob == nil, let checkpoint = relationship.checkpoint,
            let hypervisor = try? await hosts.hypervisor(relationship.source)
        else { return nil }
        return try? await hypervisor.changedBytes(uuid: relationship.vmUUID, since: checkpoint)
    }

    /// Begins counting anew in the stretch under way (and so ends a warning that missed cycles brought about).
    package func resetStatistics(of relationshipID: String) async throws {
        let now = dependencies.clock.now
        let offset = dependencies.localOffset(now)
        try await vault.write { vault in
            guard let relationship = try vault.object(Relationship.self, id: relationshipID)?.value else {
                throw EngineError(
                    .unknown, "the vault has no relationship \(relationshipID)", hint: "see: perilune status")
            }
            try CycleAccounting(relationship: relationship, vault: vault, now: now, offset: offset)
                .change { statistics, _ in statistics.reset(at: now) }
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationshipID,
                    text: "statistics of \(relationship.name) were reset", code: "statistics-reset", topic: .vm))
        }
    }

    /// A cycle that was due could not even begin: it counts as failed where no job has counted it.
    ///
    /// - Parameter began: when it should have begun.
    func noteCycleNotBegun(_ relationshipID: String, since began: Timestamp, _ error: any Error) async throws {
        let failure = JobDriver.describe(error)
        let (dependencies, now) = (dependencies, dependencies.clock.now)
        // Another engine's operation is no failure of this one.
        guard ![EngineError.Kind.busy, .leaseLost].map(\.rawValue).contains(failure.kind) else { return }
        try await vault.write { vault in
            guard let relationship = try vault.object(Relationship.self, id: relationshipID)?.value,
                relationship.state.isCopied, relationship.activeJob == nil
            else { return }
            let known = try vault.object(ReplicationStatistics.self, id: relationshipID)?.value.failure
            if let known, known.at >= began { return }
            let cause = failure.kind == EngineError.Kind.refused.rawValue ? "unreachable" : failure.kind
            try CycleAccounting(
                relationship: relationship, vault: vault, now: now, offset: dependencies.localOffset(now)
            ).noteFailure(kind: cause, failure.message, hint: failure.hint)
        }
    }
}
