import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Replication the other way.
extension JobDriver {
    /// The former owner: the host that was replicated from before the failover, and is replicated to after it is reversed.
    private var formerOwner: String {
        relationship.owner == relationship.target ? relationship.source : relationship.target
    }

    /// Makes sure that the former owner does not run the VM, and records there who owns it.
    func quietFormerOwner() async throws {
        let hypervisor = try await hosts.hypervisor(formerOwner)
        if let domain = try await hypervisor.domain(uuid: relationship.vmUUID) {
            guard !domain.power.isActive else {
                throw EngineError(
                    .refused, "\(relationship.name) runs at its former owner too, on an ownership that has ended",
                    hint: "save what it holds if you need it, shut it down there, then reverse",
                    rule: "one-writable-copy", object: relationship.name)
            }
            try await hypervisor.setAutostart(uuid: domain.uuid, false)
        }
        try await recordOwnershipAtHosts([formerOwner], required: true)
    }

    /// Makes the disks that the former owner last wrote the base of the points to come.
    ///
    /// What diverged stays in them, untouched.
    func adoptDisks() async throws {
        let host = formerOwner
        // The former owner's map is of the file that was recorded; of another one both sides will be compared.
        try await noteImages(at: host) { $0.failover?.sourceCheckpoint = nil }
        // A disk that the former owner never had travels whole.
        let disks = relationship.disks.compactMap { disk in
            disk.images[host].map { AdoptedDisk(target: disk.target, size: disk.size, image: $0) }
        }
        guard !disks.isEmpty else {
            throw EngineError(
                .failed, "no file is known for any disk of \(relationship.name) at its former owner",
                hint: "unprotect it and protect it anew in this direction", object: relationship.name)
        }
        try await hosts.agent(host).adoptDisks(
            relationship: relationship.id, vm: VMIdentity(name: relationship.name, uuid: relationship.vmUUID),
            disks: disks)
    }

    /// Swaps source and target.
    ///
    /// The points of the old direction end here: they lie under the running VM.
    func turnRound() async throws {
        if relationship.source != relationship.owner {
            try await record { _, relationship, vault in
                swap(&relationship.source, &relationship.target)
                relationship.newestGeneration = nil
                relationship.formerCopy = nil
                for point in try vault.objects(RecoveryPoint.self, parent: relationship.id) { try vault.delete(point) }
            }
        }
        // The hosts' records tell how the ownership came about, to a copy of the vault that missed it: in what direction, too.
        try await recordOwnershipAtHosts([relationship.source, relationship.target], required: false)
    }

    /// What must travel besides the new owner's own writes, by disk; nil when some of it is unknown and both sides must be compared.
    ///
    /// It is the union of what the former owner wrote after its last checkpoint and what every point newer than the
    /// chosen one held. Both are at rest, so they can be asked again whenever a copy is tried again.
    func joinedChanges() async throws -> [String: [ByteRange]]? {
        let joined = try await changesOnBothSides()
        try await noteDivergence(joined)
        return joined
    }

    /// Records at the former owner what its disks hold that the VM went on without, before a point is laid over them.
    ///
    /// A planned failover leaves nothing behind.
    private func noteDivergence(_ joined: [String: [ByteRange]]?) async throws {
        guard job.operation == .reverse, relationship.newestGeneration == nil, let failover = relationship.failover,
            !failover.planned
        else { return }
        let (host, epoch) = (relationship.target, relationship.epoch)
        let noted = try await hosts.agent(host).divergence(
            DivergenceRequest(
                relationship: relationship.id, action: .note(epoch: epoch, at: failover.at, ranges: joined)))
        let kept =
            joined == nil
            ? KeptDivergence(host: host, at: failover.at, bytes: [:], isExact: false)
            : noted.map { noted in
                KeptDivergence(
                    host: host, at: noted.at,
                    bytes: noted.disks.reduce(into: [:]) { $0[$1.target] = $1.bytes }, isExact: noted.isExact)
            }
        guard kept != relationship.divergence else { return }
        try await record { _, relationship, _ in relationship.divergence = kept }
    }

    private func changesOnBothSides() async throws -> [String: [ByteRange]]? {
        guard job.operation == .reverse, relationship.newestGeneration == nil, let failover = relationship.failover
        else {
            return [:]
        }
        guard let checkpoint = failover.sourceCheckpoint else { return nil }
        let former = try await hosts.agent(relationship.target)
        let newer: [String: [ByteRange]]
        do {
            newer = try await hosts.agent(relationship.source).extentsNewer(
                relationship: relationship.id, than: failover.generation)
        } catch let error as ReplicationError where [.notFound, .damaged].contains(error.code) {
            return nil
        }
        var joined: [String: [ByteRange]] = [:]
        for disk in relationship.disks {
            guard let image = disk.images[relationship.target] else { continue }
            guard
                let changed = try await former.changedExtents(image: image, bitmap: checkpoint)
            else { return nil }
            joined[disk.target] = changed + (newer[disk.target] ?? [])
        }
        return joined
    }
}
