import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// Names of the checkpoints that are ours: anything else at a domain is left alone.
enum CheckpointName {
    private static let prefix = "perilune-"

    static func of(generation: String) -> String { prefix + generation }

    static func isOurs(_ name: String) -> Bool { name.hasPrefix(prefix) }
}

/// Bringing one whole point to the target.
extension JobDriver {
    /// Looks at the VM and both hosts, and writes the first ownership record at each.
    func prepare() async throws {
        let source = try await hosts.hypervisor(relationship.source)
        guard let domain = try await source.domain(uuid: relationship.vmUUID) else {
            throw EngineError(
                .unknown, "the source host does not know the VM \(relationship.name)",
                hint: "define it there, or unprotect it", object: relationship.name)
        }
        try await checkNameAtTarget()
        if relationship.keptReplica == true {
            try await hosts.agent(relationship.target).forget(relationship: relationship.id)
            try await record { _, relationship, _ in (relationship.keptReplica, relationship.growing) = (nil, nil) }
        }
        if relationship.untoldOwner != nil { try await record { _, relationship, _ in relationship.untoldOwner = nil } }
        if domain.autostart {
            // Before it is turned off: whoever takes this job up would find it off.
            try await record { _, relationship, _ in relationship.autostart = true }
            try await source.setAutostart(uuid: domain.uuid, false)
        }
        try await recordOwnershipAtHosts([relationship.source, relationship.target], required: true)
        let needed = relationship.disks.reduce(0) { $0 + $1.size }
        let status = try await hosts.agent(relationship.target).status()
        guard status.freeBytes > needed / 10 else {
            throw EngineError(
                .failed,
                "the target's store \(status.store) has \(status.freeBytes >> 20) MiB free for \(needed >> 20) MiB of disks",
                hint: "free space there or choose another target", object: relationship.name)
        }
    }

    /// Brings one whole point to the target: of the running VM by a pull backup, of a stopped one from its files.
    ///
    /// A point that an earlier attempt sealed is taken as it is; anything else it left is thrown away and made again.
    func copy() async throws {
        // A failover that was taken up again may find that its guest was started meanwhile.
        if job.operation == .plannedFailover { try await shutDownAgain() }
        try await checkOwnership(of: relationship.source)
        try await clearLeftCopy(ending: false)
        let target = try await hosts.agent(relationship.target)
        if let generation = fact("generation") {
            if let sealed = try await target.points(relationship: relationship.id).first(where: {
                $0.generation == generation
            }) {
                return try await recordPoint(sealed)
            }
            try await target.abandonPoint(relationship: relationship.id, generation: generation)
            try await hosts.hypervisor(relationship.source).endBackup(uuid: relationship.vmUUID)
        }
        try await settleLineage(at: target)
        if isFirstCopy { return try await copyInLegs(to: target) }
        let generation = dependencies.identifiers.next()
        try await setFact("generation", generation)
        do {
            try await recordPoint(copyPoint(generation: generation, to: target) { try await target.openPoint($0) })
        } catch {
            // The next cycle starts afresh; what is left here would only take up space until then.
            try? await target.abandonPoint(relationship: relationship.id, generation: generation)
            guard (error as? ReplicationError)?.code == .noUsableBitmap, !comparing else { throw error }
            // The map turned out to be none when it was read: a ticket is good for one transfer, so begin anew without it.
            try await setFact("comparing", "true")
            try await copy()
        }
    }

    /// Whether change maps are left aside and both sides are compared.
    var comparing: Bool { fact("comparing") != nil }

    /// Makes sure that the source is still down; a guest that ran meanwhile wrote, so what was sealed is not its last point.
    private func shutDownAgain() async throws {
        let source = try await hosts.hypervisor(relationship.source)
        guard try await source.domain(uuid: relationship.vmUUID)?.power.isActive == true else { return }
        try await shutDownSource()
        try await setFact("generation", nil)
    }

    /// Makes one point at `target`, which `open` makes ready to receive it.
    func copyPoint(
        generation: String, to target: any Agent, open: (OpenPoint) async throws -> PointTicket
    ) async throws -> PointSummary {
        guard let point = try await copyPart(generation: generation, to: target, open: open) else {
            throw EngineError(
                .failed, "the agent at the target made a leg of what was to be a whole point",
                hint: "run the same version of perilune in the engine and at the hosts", object: relationship.name)
        }
        return point
    }

    /// Makes one point at `target`, or brings over a leg of a first copy: then nil, while something is missing.
    func copyPart(
        generation: String, to target: any Agent, leg: LegPlan? = nil,
        open: (OpenPoint) async throws -> PointTicket
    ) async throws -> PointSummary? {
        let hypervisor = try await hosts.hypervisor(relationship.source)
        guard let domain = try await hypervisor.domain(uuid: relationship.vmUUID) else {
            throw try await goneFromSource()
        }
        try await settleShape(of: domain)
        // A map belongs to the file that was recorded; of another one nobody knows what it lacks.
        try await noteImages(at: relationship.source) {
            $0.checkpoint = nil
            $0.growing?.checkpoints = []
        }
        let domainXML = try await hypervisor.inactiveXML(uuid: domain.uuid)
        let ticket = try await open(
            OpenPoint(
                relationship: relationship.id, vm: VMIdentity(name: relationship.name, uuid: relationship.vmUUID),
                generation: generation, previous: relationship.newestGeneration,
                disks: relationship.disks.map { DiskGeometry(target: $0.target, size: $0.size) },
                inLegs: leg.map { _ in true }))
        // Just before the disks' instant, which follows at once.
        let firmware = try await firmwareState(DomainDefinition(xml: domainXML), isRunning: domain.power.isActive)
        // Such an agent would make the point without it, and say nothing.
        if firmware != nil, ticket.held == nil {
            throw EngineError(
                .invalid, "the agent at the target of \(relationship.name) keeps no UEFI variables and no TPM state",
                hint: "run the same version of perilune at both hosts", object: relationship.name)
        }
        let (at, summary, checkpoint) =
            domain.power.isActive
            ? try await sendRunning(hypervisor, ticket, leg) : try await sendStopped(ticket, leg)
        // Before the point is whole, so that whoever finds it whole knows the checkpoint that goes with it.
        try await record { job, _, _ in
            job.facts["checkpoint"] = checkpoint
            job.facts["bytes"] = String(summary.bytes &+ (ticket.base?.bytes ?? 0))
            job.facts["scanned"] = String(summary.scanned)
            job.facts["marks"] = summary.marksText
            job.facts["seconds"] = String(summary.seconds)
        }
        if let base = ticket.base, try await !endLeg(base, ticket, summary, checkpoint, at: target) { return nil }
        let relationship = relationship
        let context = try await dependencies.vault.read { try SiteRecord(of: relationship, in: $0).text() }
        var seal = SealPoint(
            relationship: relationship.id, generation: generation, number: relationship.lastPointNumber + 1,
            cause: pointKind(isActive: domain.power.isActive), at: at, epoch: relationship.epoch,
            owner: relationship.owner, domainXML: domainXML, checksums: summary.checksums, context: context)
        seal.firmware = firmware
        return try await target.sealPoint(seal)
    }

    /// The instant of a running VM: a checkpoint and a pull backup begun in one call, read, and ended as soon as it is read.
    private func sendRunning(
        _ hypervisor: any Hypervisor, _ ticket: PointTicket, _ leg: LegPlan?
    ) async throws -> (Timestamp, TransferSummary, String?) {
        let sender = try await hosts.agent(relationship.source)
        let store = try await hosts.host(relationship.source).store
        try await checkScratch(at: sender)
        let uuid = relationship.vmUUID
        let checkpoint = CheckpointName.of(generation: ticket.generation)
        var since = comparing ? nil : try await usableCheckpoint(hypervisor, ticket.base)
        // A first copy is built on nothing, and its later legs on what earlier ones brought over.
        let held = ticket.base == nil ? Set((ticket.held ?? []).map(\.target)) : []
        let fresh = held.isEmpty ? [] : relationship.disks.map(\.target).filter { !held.contains($0) }
        // Before the instant, not after it: a point never claims to be younger than it is.
        func begin(since: String?) async throws -> Timestamp {
            try await hypervisor.endBackup(uuid: uuid)
            return try await takeInstant(
                hypervisor,
                BackupRequest(
                    since: since, checkpoint: checkpoint,
                    socket: "\(store)/sockets/\(ticket.generation.prefix(8)).sock",
                    scratchFolder: "\(store)/scratch", disks: relationship.disks.map(\.target),
                    whole: since == nil ? [] : fresh))
        }
        let at: Timestamp
        do {
            at = try await begin(since: since)
        } catch let error as HypervisorError where error.code == .checkpointUnusable && since != nil {
            // QEMU was killed and the bitmap with it: find the changes by comparing instead.
            try await hypervisor.discardCheckpoints(uuid: relationship.vmUUID, keeping: nil)
            since = nil
            at = try await begin(since: nil)
        }
        let also = try await joinedChanges()
        let disks = relationship.disks.map { disk in
            SourceDisk(
                target: disk.target, size: disk.size,
                from: .export(socket: "\(store)/sockets/\(ticket.generation.prefix(8)).sock", name: disk.target),
                extents: selection(for: disk, bitmap: since.map { _ in nil }, also: also, ticket),
                leg: ticket.base?[disk.target].map { LegStart(frontier: $0.frontier, isTracked: since != nil) })
        }
        let request = SendPoint(
            ticket: ticket, disks: disks, limits: ticket.base.flatMap { _ in leg.map { limits(of: $0) } })
        do {
            let summary = try await sendWatchingScratch(request, by: sender)
            if !keepsBackup { try await hypervisor.endBackup(uuid: uuid) }
            return (at, summary, checkpoint)
        } catch {
            try? await hypervisor.endBackup(uuid: uuid)
            throw error
        }
    }

    /// A stopped VM is at rest: its files are read as they are, changes from the bitmap that QEMU wrote at its clean end.
    private func sendStopped(
        _ ticket: PointTicket, _ leg: LegPlan?
    ) async throws -> (Timestamp, TransferSummary, String?) {
        let sender = try await hosts.agent(relationship.source)
        let known = ticket.base.map { trustedCheckpoint(of: $0) } ?? relationship.checkpoint
        let also = try await joinedChanges()
        var disks: [SourceDisk] = []
        for disk in relationship.disks {
            guard let image = disk.images[relationship.source] else {
                throw EngineError(
                    .failed, "no file is known for disk \(disk.target) of \(relationship.name) at its source")
            }
            var bitmap: String?
            // A file at rest may have been put back to what it was before that leg, with its times and its bitmaps.
            let isMixed = ticket.base?[disk.target]?.isMixed == true
            if !comparing, !isMixed, let checkpoint = known,
                try await sender.changedExtents(image: image, bitmap: checkpoint) != nil
            {
                bitmap = checkpoint
            }
            disks.append(
                SourceDisk(
                    target: disk.target, size: disk.size, from: .image(image),
                    extents: selection(for: disk, bitmap: bitmap.map { .some($0) }, also: also, ticket),
                    leg: ticket.base?[disk.target].map {
                        LegStart(
                            frontier: $0.frontier, isTracked: bitmap != nil, bitmap: bitmap,
                            mark: comparing || isMixed ? nil : $0.mark)
                    }))
        }
        let at = now
        let summary = try await send(
            SendPoint(
                ticket: ticket, disks: disks,
                limits: ticket.base.flatMap { _ in leg.map { LegLimits(seconds: $0.seconds) } }), by: sender)
        return (at, summary, known)
    }

    /// What of a disk travels.
    ///
    /// `bitmap` is nil when no map is usable, `.some(nil)` for the one that the export carries.
    private func selection(
        for replicated: ReplicatedDisk, bitmap: String??, also: [String: [ByteRange]]?, _ ticket: PointTicket
    ) -> SourceDisk.Selection {
        let disk = replicated.target
        var tail: [ByteRange] = []
        if ticket.base == nil, let held = ticket.held, !held.isEmpty {
            // A disk that the target does not have yet, one that has shrunk, and one that has grown.
            guard let there = held.first(where: { $0.target == disk }) else { return .everything }
            if there.size > replicated.size { return .differing }
            if there.size < replicated.size {
                if job.operation == .reverse { return .differing }
                tail = [ByteRange(offset: there.size, length: replicated.size - there.size)]
            }
        }
        if job.operation == .reverse && relationship.newestGeneration == nil {
            // Without knowledge of what either side wrote since they parted, only comparing is safe.
            guard let bitmap, let also, let ranges = also[disk] else { return .differing }
            return .changed(bitmap: bitmap, also: ranges)
        }
        if relationship.newestGeneration == nil { return .everything }
        if isResync { return .differing }
        guard let bitmap else { return .differing }
        return .changed(bitmap: bitmap, also: tail)
    }

    func send(_ request: SendPoint, by sender: any Agent) async throws -> TransferSummary {
        let (executor, policy) = (dependencies.executor, relationship.policy)
        var request = request
        let rules = try await dependencies.vault.read { try $0.object(Policy.self, id: policy)?.value }
        request.compresses = rules?.compression
        if let rules, rules.authentication == .certificate, request.ticket.isEncrypted != true {
            throw ReplicationError(
                .notAuthorized,
                "policy '\(rules.name)' wants certificates, and the agent at \(request.ticket.address) takes data without",
                hint: "start both agents with --tls FILE (perilune authority issue makes the file), or set the policy's"
                    + " authentication to \"ticket\"")
        }
        // What earlier legs have brought over is a part of what is shown.
        let before = request.ticket.base?.bytes ?? 0
        return try await sender.sendPoint(request) { progress in
            var progress = progress
            progress.done &+= before
            progress.total &+= before
            let shown = progress
            Task(executorPreference: executor) { await self.show(shown) }
        }
    }

    private func pointKind(isActive: Bool) -> PointKind {
        if !isActive { return .planned }
        if fact("consistency") == PointConsistency.application.rawValue { return .applicationConsistent }
        return relationship.newestGeneration == nil && job.operation != .reverse ? .initial : .crashConsistent
    }

    /// The checkpoint that covers all changes since the newest point, if libvirt still has it.
    private func usableCheckpoint(_ hypervisor: any Hypervisor, _ base: GrowingBase?) async throws -> String? {
        guard let known = base.map({ trustedCheckpoint(of: $0) }) ?? relationship.checkpoint else { return nil }
        return try await hypervisor.checkpoints(uuid: relationship.vmUUID).contains(known) ? known : nil
    }

    func recordPoint(_ point: PointSummary) async throws {
        let (now, dependencies) = (now, dependencies)
        try await record { job, relationship, vault in
            try Self.note(
                point, in: &relationship, vault, dependencies,
                begins: [.reverse, .protect, .startFirstCopy, .importFirstCopy, .resume].contains(job.operation))
            try Self.noteInstant(of: point.generation, job, &relationship, vault, now)
            // A stopped VM's bitmap goes on from where it was; a running one's new checkpoint takes over.
            relationship.checkpoint = job.facts["checkpoint"]
            relationship.failover = nil
            (relationship.firstCopy, relationship.growing, relationship.unreplicated) = (nil, nil, nil)
            job.facts["point"] = String(point.number)
            job.facts["at"] = String(point.at.milliseconds)
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationship.id,
                    text: "point \(point.number) of \(relationship.name) is whole (\(point.bytes) bytes)",
                    code: "point-whole", topic: .vm))
        }
    }

    static func note(
        _ point: PointSummary, in relationship: inout Relationship, _ vault: any VaultWriter,
        _ dependencies: EngineDependencies, begins: Bool = false
    ) throws {
        if try vault.object(RecoveryPoint.self, id: point.generation) == nil {
            try vault.insert(
                RecoveryPoint(
                    id: point.generation, number: point.number, relationship: relationship.id,
                    previous: point.previous, cause: point.cause, at: point.at, host: relationship.target,
                    bytes: point.bytes))
            try accounting(relationship, vault, dependencies).notePoint(
                shown: point.at, bytes: point.bytes, begins: begins)
        }
        relationship.newestGeneration = point.generation
        relationship.lastPointNumber = max(relationship.lastPointNumber, point.number)
    }

    /// Takes into the vault the points that the target holds and the vault does not know: a cycle ended after its point
    /// was whole and before that was recorded.
    ///
    /// The checkpoint stays as it was: it is older than these points, so it covers more than is needed, never less. In a reversal
    /// the target's earlier points are no ancestors of what comes.
    func adoptUnrecordedPoints(at target: any Agent) async throws {
        guard job.operation != .reverse else { return }
        try await adoptUnrecordedPoints(try await target.points(relationship: relationship.id))
    }

    func adoptUnrecordedPoints(_ points: [PointSummary]) async throws {
        let newest = relationship.newestGeneration
        let known = newest.flatMap { newest in points.firstIndex { $0.generation == newest } }
        if newest != nil && known == nil { return }
        let unrecorded = known.map { Array(points[($0 + 1)...]) } ?? points
        guard !unrecorded.isEmpty else { return }
        let dependencies = dependencies
        try await record { _, relationship, vault in
            for point in unrecorded { try Self.note(point, in: &relationship, vault, dependencies) }
        }
    }

    /// Forgets what the new point makes dead.
    func prune() async throws {
        if let hypervisor = try await hosts.reachableHypervisor(relationship.source),
            let domain = try await hypervisor.domain(uuid: relationship.vmUUID), domain.power.isActive
        {
            try await hypervisor.discardCheckpoints(uuid: relationship.vmUUID, keeping: relationship.checkpoint)
        }
        try await keepPolicyPoints()
    }
}
