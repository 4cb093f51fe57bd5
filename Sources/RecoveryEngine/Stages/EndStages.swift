import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Ending replication, and giving up what cannot be finished.
extension JobDriver {
    /// Ends replication and leaves nothing behind, except the disks that the VM runs on.
    func release() async throws {
        let owner = relationship.owner
        let other = owner == relationship.source ? relationship.target : relationship.source
        let isTold = try await handBack(to: owner)
        if other == relationship.target, try await hosts.reachableHypervisor(other) != nil,
            try await hosts.reachableAgent(other) != nil
        {
            try await clearLeftCopy(ending: true)
        }
        let policyID = relationship.policy
        let policy = try await dependencies.vault.read { try $0.object(Policy.self, id: policyID)?.value }
        let keeps = policy.map { !$0.deleteReplica } ?? false
        let forgetful = keeps ? nil : try await hosts.reachableAgent(other)
        try await forgetful?.forget(relationship: relationship.id)
        // What stays is no longer for anybody to fail over to.
        if keeps { try await hosts.reachableAgent(other)?.forgetOwnership(relationship: relationship.id) }
        let unseen = try await formerOwnerIsUnseen(other) ? other : nil
        try await settleStandby(at: other)
        let store = try await hosts.host(other)
        let (now, untold) = (now, isTold ? nil : owner)
        try await record { _, relationship, vault in
            let folder = "\(store.store)/points/\(relationship.id)"
            if keeps {
                try vault.append(
                    Event(
                        at: now, severity: .info, object: relationship.id,
                        text:
                            "the points of \(relationship.name) stay at \(store.name) below \(folder), as its policy says; "
                            + "they go when it is protected again", code: "replica-kept", topic: .vm))
            } else if forgetful == nil {
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: relationship.id,
                        text: "\(store.name) did not answer when \(relationship.name) was unprotected: "
                            + "its points stay below \(folder) until it is protected again, or they are removed by hand"
                    ))
            }
            if let exported = relationship.firstCopy?.exported {
                try vault.append(
                    Event(
                        at: now, severity: .info, object: relationship.id,
                        text: "the carried first copy of \(relationship.name) is good for nothing any more: remove "
                            + exported.folder, code: "export-orphaned", topic: .vm))
            }
            (relationship.firstCopy, relationship.growing) = (nil, nil)
            // What could not be removed is in the way of other points: a new first copy begins by removing it.
            relationship.keptReplica = keeps || forgetful == nil ? true : nil
            (relationship.newestGeneration, relationship.divergence) = (nil, nil)
            relationship.checkpoint = nil
            relationship.failover = nil
            if untold == nil { relationship.autostart = nil }
            (relationship.startOwedAt, relationship.ranAtOwner) = (nil, nil)
            (relationship.untoldOwner, relationship.formerCopy) = (untold, nil)
            (relationship.unseenCopy, relationship.leftCopy) = (unseen, nil)
            // Where it runs now is where it would be protected from again.
            if relationship.owner == relationship.target { swap(&relationship.source, &relationship.target) }
            for point in try vault.objects(RecoveryPoint.self, parent: relationship.id) { try vault.delete(point) }
            try GroupPoint.takeApart(losing: relationship.id, in: vault)
        }
    }

    /// Makes the VM its host's again: it starts when the host says so, and with the host if it did before.
    ///
    /// The host's record goes first: with one, it must not start by itself.
    ///
    /// - Returns: false when the host did not answer, and is to be told when it returns.
    private func handBack(to owner: String) async throws -> Bool {
        let agent = try await hosts.reachableAgent(owner)
        // A record of a later ownership is not this vault's to remove.
        if agent != nil { try await checkOwnership(of: owner) }
        try await agent?.forgetOwnership(relationship: relationship.id)
        guard let hypervisor = try await hosts.reachableHypervisor(owner) else { return false }
        if try await hypervisor.domain(uuid: relationship.vmUUID) != nil {
            try await hypervisor.endProtection(
                of: relationship.vmUUID, relationship: relationship.id,
                startsWithHost: relationship.autostart == true && agent != nil)
        }
        return agent != nil
    }

    /// The VM is not protected after all: its hosts, which have learnt that it is, are told so.
    private func leaveUnprotected() async throws {
        let owner = relationship.owner
        // What was prepared is undone here: an engine that takes the job up before it has ended prepares anew.
        try await record { job, _, _ in
            for index in job.stages.indices where job.stages[index].name == StageName.prepare.rawValue {
                job.stages[index].state = .pending
            }
        }
        let isTold = (try? await handBack(to: owner)) ?? false
        try? await hosts.reachableAgent(relationship.target)?.forgetOwnership(relationship: relationship.id)
        try await record { _, relationship, _ in
            relationship.untoldOwner = isTold ? nil : owner
            relationship.growing = nil
            if isTold { relationship.autostart = nil }
        }
    }

    /// Whether the former owner was declared lost and cannot be seen to be off: it may return running after protection has
    /// ended, and is watched for.
    private func formerOwnerIsUnseen(_ other: String) async throws -> Bool {
        let wasDeclaredLost = relationship.failover?.sourceVerdict == .declared && other == relationship.source
        guard wasDeclaredLost || (relationship.leftCopy != nil && other == relationship.target) else { return false }
        guard let hypervisor = try await hosts.reachableHypervisor(other) else { return true }
        do {
            return try await hypervisor.domain(uuid: relationship.vmUUID)?.power.isActive ?? false
        } catch is HypervisorError {
            return true
        }
    }

    /// Leaves the world as it was before a job that may be given up: best effort, since what stays behind is found
    /// and thrown away by the next job on this VM.
    ///
    /// - Returns: what of it matters to who reads that the job has failed; nil when nothing does.
    func giveUp() async -> String? {
        if job.operation == .plannedFailover || job.operation == .unplannedFailover, fact("ran") != nil {
            // Its guest was shut down for nothing: it runs on at the source.
            do {
                try await checkSourceOwns()
                try await hosts.hypervisor(relationship.source).start(uuid: relationship.vmUUID, paused: false)
            } catch {
                let (now, name, what) = (now, relationship.name, Self.describe(error).message)
                try? await record { _, relationship, vault in
                    try vault.append(
                        Event(
                            at: now, severity: .critical, object: relationship.id,
                            text: "\(name) was shut down for a failover that failed, "
                                + "and could not be started again: \(what)"))
                }
            }
        }
        if job.operation == .testFailover { try? await removeTest() }
        if job.operation == .protect, job.origin == .unprotected, !keepsFirstCopy { try? await leaveUnprotected() }
        return job.operation == .undo ? await restartAtTarget() : nil
    }

    private func checkSourceOwns() async throws {
        do {
            try await checkOwnership(of: relationship.source)
        } catch is ReplicationError {
            // An agent that is away is no reason to leave the guest off: in the vault its source owns it, and libvirt's hook
            // there reads the same record.
        }
    }
}
