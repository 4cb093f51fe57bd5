import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// One look at one host: what its record of a VM and the VM itself are, against what the vault says.
struct HostVisit: Sendable {
    let engine: RecoveryEngine
    let host: Host
    let hypervisor: any Hypervisor
    let agent: any Agent
    let report: @Sendable (WatchNews) -> Void

    private var now: Timestamp { engine.dependencies.clock.now }

    func see(_ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain?) async throws {
        if relationship.activeJob != nil {
            guard let domain, relationship.owner != host.id, Self.writes(domain),
                standing?.record.epoch ?? 0 <= relationship.epoch
            else { return }
            return try await seeFormerOwner(relationship, standing, domain)
        }
        if let record = standing?.record, record.epoch > relationship.epoch {
            try await hostIsAhead(relationship, record)
        } else if relationship.owner == host.id {
            try await seeOwner(relationship, standing, domain)
        } else if let domain, relationship.failover != nil || domain.power.isActive {
            try await seeFormerOwner(relationship, standing, domain)
        } else if standing.map({ $0.record.host == nil || !$0.isConfirmed }) ?? false {
            try await agent.recordOwnership(record(of: relationship))
        }
    }

    private static func writes(_ domain: Domain) -> Bool { domain.power == .running || domain.power == .shuttingDown }

    private func record(of relationship: Relationship) -> OwnershipRecord {
        OwnershipRecord(
            relationship: relationship.id, vmUUID: relationship.vmUUID, owner: relationship.owner,
            epoch: relationship.epoch, host: host.id)
    }

    private func mark(of relationship: Relationship) -> Ownership {
        Ownership(relationship: relationship.id, owner: relationship.owner, epoch: relationship.epoch)
    }

    // MARK: At the owner

    private func seeOwner(
        _ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain?
    ) async throws {
        guard let domain, let standing else { return }
        let wasAway = !standing.isConfirmed
        if wasAway || standing.record.startedAlone != nil || standing.record.claim != nil {
            if let at = standing.record.startedAlone {
                try await note(
                    relationship, .warning,
                    "\(relationship.name) was started at \(host.name) on the operator's word alone "
                        + "(at \(at.milliseconds / 1000) s since 1970); the vault confirms now that \(host.name) owns it"
                )
            }
            guard try await stillSo(relationship) else { return }
            try await agent.recordOwnership(record(of: relationship))
            if try await hypervisor.ownership(uuid: domain.uuid) != mark(of: relationship) {
                try await hypervisor.setOwnership(uuid: domain.uuid, mark(of: relationship))
            }
            if wasAway { report(.confirmed(vm: relationship.name, host: host.name)) }
        }
        if wasAway, !domain.power.isActive, relationship.ranAtOwner == true || relationship.autostart == true {
            guard try await stillSo(relationship) else { return }
            try await hypervisor.start(uuid: domain.uuid, paused: false)
            try await note(
                relationship, .info,
                "\(relationship.name) was started at \(host.name), which owns it, after the host had been away")
            report(.started(vm: relationship.name, host: host.name))
            return try await keep(relationship) { $0.ranAtOwner = true }
        }
        if relationship.ranAtOwner != domain.power.isActive {
            try await keep(relationship) { $0.ranAtOwner = domain.power.isActive }
        }
    }

    // MARK: At the former owner

    /// Its copy is of an ownership that has ended: it may not be written, and nothing of it is thrown away.
    private func seeFormerOwner(
        _ relationship: Relationship, _ standing: OwnershipStanding?, _ domain: Domain
    ) async throws {
        let isCurrent = standing?.record.epoch == relationship.epoch && standing?.isConfirmed == true
        let mustStop = Self.writes(domain)
        let isKnown = relationship.formerCopy?.host == host.id
        // A host that took part in the failover knows, and keeps its copy off: no news.
        guard !isCurrent || mustStop || domain.autostart || (domain.power.isActive && !isKnown) else { return }
        let epoch = standing?.record.epoch ?? relationship.epoch - 1
        // Refused when another operation has moved the ownership on since the vault was read.
        if !isCurrent { try await agent.recordOwnership(record(of: relationship)) }
        if domain.autostart { try await hypervisor.setAutostart(uuid: domain.uuid, false) }
        var state = FormerCopy.State.stopped
        if domain.power.isActive {
            guard try await stillSo(relationship) else { return }
            if mustStop { try await hypervisor.suspend(uuid: domain.uuid) }
            try await hypervisor.setLinks(uuid: domain.uuid, up: false)
            state = .suspended
        }
        guard !isKnown || relationship.formerCopy?.state != state else { return }
        try await tell(relationship, FormerCopy(host: host.id, state: state, epoch: epoch, at: now))
    }

    /// Keeps what was found with the relationship, and raises the alert in the same instant: once, whoever looks.
    private func tell(_ relationship: Relationship, _ found: FormerCopy) async throws {
        let (name, host, now) = (relationship.name, host, now)
        let text =
            switch found.state {
            case .suspended:
                "\(name) came back running at \(host.name), which owned it until epoch \(found.epoch); "
                    + "it was suspended, its links set down, its disks kept. Save what it holds if you need it, then end "
                    + "it there (virsh destroy)"
            case .stopped:
                "\(host.name) came back with its former copy of \(name), off: nothing is replicated from it, "
                    + "and it is kept from starting"
            }
        let isNew = try await engine.vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: relationship.id),
                stored.value.activeJob == relationship.activeJob, stored.value.epoch == relationship.epoch,
                stored.value.formerCopy?.host != found.host || stored.value.formerCopy?.state != found.state
            else { return false }
            let before = stored.value.formerCopy
            stored.value.formerCopy = found
            try vault.update(stored)
            // One that was suspended and has been ended since is no news.
            guard before?.host != found.host || found.state == .suspended else { return true }
            try vault.append(
                Event(
                    at: now, severity: found.state == .suspended ? .critical : .warning, object: relationship.id,
                    text: text))
            return true
        }
        if isNew { report(.formerCopy(vm: name, host: host.name, found.state)) }
    }

    // MARK: A host that knows more than the vault

    private func hostIsAhead(_ relationship: Relationship, _ record: OwnershipRecord) async throws {
        guard record.owner == host.id, let claim = record.claim else {
            let text =
                "\(host.name) has \(relationship.name) at epoch \(record.epoch) and this vault at epoch "
                + "\(relationship.epoch): the vault is behind its hosts, do not go on from it before that is understood"
            guard relationship.lastError != text else { return }
            try await keep(relationship) { $0.lastError = text }
            return try await note(relationship, .critical, text)
        }
        let images = try await agent.createBootImages(
            relationship: relationship.id, generation: claim.generation, epoch: record.epoch)
        let (host, now) = (host, now)
        let taken = try await engine.vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: relationship.id), stored.value.activeJob == nil,
                stored.value.epoch < record.epoch
            else { return false }
            stored.value.takeOver(record, claim, images)
            try vault.update(stored)
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationship.id,
                    text: "\(host.name) had failed \(stored.value.name) over with no vault, to point \(claim.number), "
                        + "the source being \(claim.verdict.rawValue) down; the vault has taken that over"))
            return true
        }
        if taken { report(.takenOver(vm: relationship.name, host: host.name)) }
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
                stored.value.activeJob == nil, stored.value.epoch == relationship.epoch
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

extension Relationship {
    /// Takes in a failover that the target made by itself.
    mutating func takeOver(_ record: OwnershipRecord, _ claim: HostClaim, _ images: [BootImage]) {
        if failover == nil {
            failover = FailoverRecord(
                planned: false, generation: claim.generation, sourceVerdict: claim.verdict, at: claim.at,
                sourceCheckpoint: checkpoint)
        }
        failover?.generation = claim.generation
        owner = record.owner
        epoch = record.epoch
        state = .failedOver
        checkpoint = claim.checkpoint
        ranAtOwner = true
        formerCopy = nil
        for image in images {
            guard let top = image.chain.first, let index = disks.firstIndex(where: { $0.target == image.target }) else {
                continue
            }
            disks[index].images[record.owner] = top
        }
    }
}
