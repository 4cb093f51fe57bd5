import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// One look at one host: what its record of a VM and the VM itself are, against what the vault says.
struct HostVisit: Sendable {
    let engine: RecoveryEngine
    let host: Host
    let hypervisor: any Hypervisor
    /// Nil when it does not answer, and the hypervisor does.
    let agent: (any Agent)?
    let report: @Sendable (WatchNews) -> Void

    private var now: Timestamp { engine.dependencies.clock.now }

    func see(_ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain?) async throws {
        if relationship.state == .unprotected {
            try await seeUntoldOwner(relationship, standing, domain)
            return try await seeUnseenCopy(relationship, domain)
        }
        let isFormerOwner = relationship.owner != host.id
        guard relationship.activeJob == nil else {
            guard isFormerOwner, let domain, domain.power.isActive,
                standing?.record?.epoch ?? 0 <= relationship.epoch
            else { return }
            return try await seeFormerOwner(relationship, standing, domain)
        }
        if let record = standing?.record, record.epoch > relationship.epoch {
            return try await hostIsAhead(relationship, record, domain)
        }
        let isLeft = relationship.failover != nil || relationship.leftCopy != nil
        if isFormerOwner, let domain, isLeft || domain.power.isActive {
            try await seeFormerOwner(relationship, standing, domain)
        } else if !isFormerOwner {
            try await seeOwner(relationship, standing, domain)
        } else if let agent, let record = standing?.record, record.host == nil || standing?.isConfirmed != true {
            try await engine.hosts.record(relationship.ownershipRecord(at: host.id), at: agent)
        }
        if let fault = standing?.fault {
            report(.trouble(vm: relationship.name, "\(host.name): \(fault.message); \(fault.hint)"))
        }
    }

    private func mark(of relationship: Relationship) -> Ownership {
        Ownership(relationship: relationship.id, owner: relationship.owner, epoch: relationship.epoch)
    }

    // MARK: At the owner

    private func seeOwner(
        _ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain?
    ) async throws {
        // A copy that an undo has taken the VM from may still run at the other side: until that is known, this one rests.
        guard relationship.leftCopy?.verdict != .unknown else { return }
        guard let domain, let agent, standing?.fault == nil else { return }
        let known = standing?.record
        if known == nil, try await !recordIsMissing(relationship, domain) { return }
        let wasAway = standing?.isConfirmed != true
        let isOwed =
            relationship.startOwedAt == relationship.epoch
            || (wasAway && (relationship.ranAtOwner == true || relationship.autostart == true))
        if isOwed, !domain.power.isActive, relationship.startOwedAt != relationship.epoch {
            try await keep(relationship) { $0.startOwedAt = relationship.epoch }
        }
        if wasAway || known?.startedAlone != nil || known?.claim != nil {
            if known == nil {
                try await note(
                    relationship, .warning,
                    "\(host.name) had no record any more of who owns \(relationship.name), and would not have started it; "
                        + "the vault confirms that \(host.name) owns it, and has written the record anew")
            } else if let at = known?.startedAlone {
                try await note(
                    relationship, .warning,
                    "\(relationship.name) was started at \(host.name) on the operator's word alone "
                        + "(at \(at.milliseconds / 1000) s since 1970); the vault confirms now that \(host.name) owns it"
                )
            }
            guard try await stillSo(relationship) else { return }
            try await engine.hosts.record(relationship.ownershipRecord(at: host.id), at: agent)
            if try await hypervisor.ownership(uuid: domain.uuid) != mark(of: relationship) {
                try await hypervisor.setOwnership(uuid: domain.uuid, mark(of: relationship))
            }
            if wasAway { report(.confirmed(vm: relationship.name, host: host.name)) }
        }
        if isOwed, !domain.power.isActive {
            guard try await stillSo(relationship) else { return }
            try await hypervisor.start(uuid: domain.uuid, paused: false)
            try await note(
                relationship, .info,
                "\(relationship.name) was started at \(host.name), which owns it, after the host had been away")
            report(.started(vm: relationship.name, host: host.name))
            return try await keep(relationship) { ($0.ranAtOwner, $0.startOwedAt) = (true, nil) }
        }
        // An undo that was ended by another operation has not marked it, and so nobody could start it.
        if !domain.power.isActive, known?.epoch == relationship.epoch { try await mark(relationship, domain) }
        if relationship.ranAtOwner != domain.power.isActive || relationship.startOwedAt != nil {
            try await keep(relationship) { ($0.ranAtOwner, $0.startOwedAt) = (domain.power.isActive, nil) }
        }
    }

    /// Whether the host's record of a VM that it owns was lost: the VM's definition says that there was one.
    ///
    /// A definition of a later ownership, or of another owner, says that the vault does not know enough to write it anew.
    private func recordIsMissing(_ relationship: Relationship, _ domain: Domain) async throws -> Bool {
        guard let mark = try await hypervisor.ownership(uuid: domain.uuid), mark.relationship == relationship.id,
            try await stillSo(relationship)
        else { return false }
        guard mark.epoch > relationship.epoch || (mark.epoch == relationship.epoch && mark.owner != relationship.owner)
        else { return true }
        try await vaultIsBehind(relationship, epoch: mark.epoch)
        return false
    }

    // MARK: At the former owner

    /// Its copy is of an ownership that has ended: it may not be written, and nothing of it is thrown away.
    private func seeFormerOwner(
        _ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain
    ) async throws {
        let isCurrent = standing?.record?.epoch == relationship.epoch && standing?.isConfirmed == true
        let known = relationship.formerCopy.flatMap { $0.host == host.id ? $0.state : nil }
        let state: FormerCopy.State = domain.power.isActive ? .suspended : .stopped
        let isToBeStopped = domain.power.mayWrite || (domain.power.isActive && known != .suspended)
        // A host that took part in the failover knows, and keeps its copy off: no news.
        guard !isCurrent || isToBeStopped || domain.autostart else { return }
        guard try await !hasLaterMark(relationship, standing, domain) else { return }
        var untold: ReplicationError?
        if !isCurrent, let agent {
            do {
                try await engine.hosts.record(relationship.ownershipRecord(at: host.id), at: agent)
            } catch let error as ReplicationError where error.code != .staleEpoch {
                // Refused by epoch when another operation has moved the ownership on; anything else holds nothing up here.
                untold = error
            }
        }
        if domain.autostart { try await hypervisor.setAutostart(uuid: domain.uuid, false) }
        if isToBeStopped {
            guard try await stillSo(relationship) else { return }
            try await hypervisor.quiet(domain)
        }
        if known != state {
            let epoch = standing?.record?.epoch ?? relationship.epoch - 1
            try await tell(relationship, FormerCopy(host: host.id, state: state, epoch: epoch, at: now))
        }
        if !isCurrent { try await mark(relationship, domain) }
        if let untold { throw untold }
    }

    /// Whether the VM's definition here is of a later ownership than the vault knows, where no record can be read: then the
    /// vault is what is behind.
    private func hasLaterMark(
        _ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain
    ) async throws -> Bool {
        guard standing?.record == nil, let mark = try? await hypervisor.ownership(uuid: domain.uuid) else {
            return false
        }
        guard mark.epoch > relationship.epoch else { return false }
        try await vaultIsBehind(relationship, epoch: mark.epoch)
        return true
    }

    private func mark(_ relationship: Relationship, _ domain: Domain) async throws {
        guard try await hypervisor.ownership(uuid: domain.uuid) != mark(of: relationship) else { return }
        try await hypervisor.setOwnership(uuid: domain.uuid, mark(of: relationship))
    }

    private func tell(_ relationship: Relationship, _ found: FormerCopy) async throws {
        let hostName = host.name
        let isNew = try await engine.vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: relationship.id),
                stored.value.activeJob == relationship.activeJob, stored.value.epoch == relationship.epoch,
                try found.note(in: &stored.value, hostName: hostName, vault)
            else { return false }
            try vault.update(stored)
            return true
        }
        if isNew { report(.formerCopy(vm: relationship.name, host: host.name, found.state)) }
    }

    /// Protection has ended while this host, the owner, was away: the VM is its own again, and whoever likes may start it.
    private func seeUntoldOwner(
        _ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain?
    ) async throws {
        guard relationship.untoldOwner == host.id, let agent else { return }
        if let record = standing?.record, record.epoch > relationship.epoch || record.owner != host.id {
            return try await vaultIsBehind(relationship, epoch: record.epoch)
        }
        guard try await stillSo(relationship) else { return }
        try await agent.forgetOwnership(relationship: relationship.id)
        if let domain {
            try await hypervisor.endProtection(
                of: domain.uuid, relationship: relationship.id, startsWithHost: relationship.autostart == true)
        }
        try await keep(relationship) { ($0.untoldOwner, $0.autostart) = (nil, nil) }
    }

    /// Protection has ended with this host's copy only declared lost; it is looked at once, and then nobody's business here.
    ///
    /// It keeps its mark and loses its record, as after any end of protection: libvirt's hook does not start it like that.
    private func seeUnseenCopy(_ relationship: Relationship, _ domain: Domain?) async throws {
        guard relationship.unseenCopy == host.id else { return }
        if let domain {
            guard try await !hasLaterMark(relationship, nil, domain) else { return }
            guard try await stillSo(relationship) else { return }
            if domain.autostart { try await hypervisor.setAutostart(uuid: domain.uuid, false) }
            if domain.power.isActive { try await hypervisor.quiet(domain) }
            try await mark(relationship, domain)
            try await tell(
                relationship,
                FormerCopy(
                    host: host.id, state: domain.power.isActive ? .suspended : .stopped, epoch: relationship.epoch - 1,
                    at: now))
        }
        guard let agent else { return }
        try await agent.forgetOwnership(relationship: relationship.id)
        try await keep(relationship) { $0.unseenCopy = nil }
    }

    // MARK: A host that knows more than the vault

    private func hostIsAhead(_ relationship: Relationship, _ record: OwnershipRecord, _ domain: Domain?) async throws {
        // An operation that has begun since this look did writes records of its own.
        guard try await stillSo(relationship) else { return }
        guard let news = OwnershipNews(record, over: relationship) else {
            return try await vaultIsBehind(relationship, epoch: record.epoch)
        }
        guard record.owner == host.id else {
            // The owner tells the whole of it, when it is looked at.
            if try await engine.hosts.reachableAgent(record.owner) != nil { return }
            return try await vaultIsBehind(relationship, epoch: record.epoch)
        }
        guard let agent else { return }
        try await takeIn(news, relationship, agent, domain)
    }

    private func takeIn(
        _ found: OwnershipNews, _ relationship: Relationship, _ agent: any Agent, _ domain: Domain?
    ) async throws {
        var news = found
        var images: [BootImage] = []
        var point: Int?
        if let failover = news.failover {
            images = try await agent.createBootImages(
                relationship: relationship.id, generation: failover.generation, epoch: news.record.epoch)
            point = try await agent.points(relationship: relationship.id)
                .first { $0.generation == failover.generation }?.number
        }
        // A map that nobody keeps any more is not counted on: then both sides are compared.
        if let name = news.checkpoint {
            let kept = domain == nil ? [] : try await hypervisor.checkpoints(uuid: relationship.vmUUID)
            if !kept.contains(name) { news.checkpoint = nil }
        }
        let (learned, made, number, host, now) = (news, images, point, host, now)
        let runs = domain?.power.isActive == true
        let taken = try await engine.vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: relationship.id), stored.value.activeJob == nil,
                stored.value.epoch < learned.record.epoch
            else { return false }
            learned.take(into: &stored.value, images: made)
            try vault.update(stored)
            var text = learned.words(vm: stored.value.name, host: host.name, point: number)
            if !runs {
                text +=
                    learned.kind == .undo
                    ? "; it does not run there: start it"
                    : "; it does not run there: start it, or change its recovery point, or undo the failover"
            }
            try vault.append(Event(at: now, severity: .warning, object: relationship.id, text: text))
            return true
        }
        if taken { report(.takenOver(vm: relationship.name, host: host.name)) }
    }

    private func vaultIsBehind(_ relationship: Relationship, epoch: Int) async throws {
        let text =
            "\(host.name) has \(relationship.name) at epoch \(epoch) and this vault at epoch "
            + "\(relationship.epoch): the vault is behind its hosts, do not go on from it before that is understood"
        guard relationship.lastError != text else { return }
        try await keep(relationship) { $0.lastError = text }
        try await note(relationship, .critical, text)
    }

    // MARK: The record

    /// Whether the vault still says what this look began with: an operation may have begun since.
    private func stillSo(_ relationship: Relationship) async throws -> Bool {
        try await engine.vault.read { vault in
            guard let stored = try vault.object(Relationship.self, id: relationship.id)?.value else { return false }
            return stored.activeJob == relationship.activeJob && stored.epoch == relationship.epoch
                && stored.owner == relationship.owner
        }
    }

    private func keep(
        _ relationship: Relationship, _ change: @escaping @Sendable (inout Relationship) -> Void
    ) async throws {
        try await engine.vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: relationship.id),
                stored.value.activeJob == relationship.activeJob, stored.value.epoch == relationship.epoch
            else { return }
            change(&stored.value)
            try vault.update(stored)
        }
    }

    private func note(_ relationship: Relationship, _ severity: Event.Severity, _ text: String) async throws {
        let now = now
        try await engine.vault.write { vault in
            try vault.append(Event(at: now, severity: severity, object: relationship.id, text: text))
        }
    }
}
