import Hypervisors
import SiteModel
import VaultStore

/// The instant that a point of a running VM shows, and what its guest's software can expect of it.
///
/// That a guest is to be held is in the vault before it is: an engine that takes the job up, or finds the VM without one, lets
/// the guest go first (`letGoOfGuest`, `releaseHeldGuests`).
extension JobDriver {
    /// Operations whose points come again and again, and of which some are to be application-consistent.
    private static var cycles: Set<Operation> { [.sync, .resume] }

    /// Begins the VM's backup with its guest held, where a point of that kind is due or was asked for; returns its instant.
    ///
    /// Where the guest cannot be held the backup begins all the same, and the job's facts say why the point is what it is.
    func takeInstant(_ hypervisor: any Hypervisor, _ request: BackupRequest) async throws -> Timestamp {
        if fact("consistency") != nil || fact("crashReason") != nil {
            try await note(consistency: nil, reason: nil, seconds: nil)
        }
        if let gathering, !gathering.isOver {
            return try await takeInstant(with: gathering, hypervisor, request)
        }
        guard try await wantsApplicationPoint() else {
            let at = now
            try await hypervisor.beginBackup(uuid: relationship.vmUUID, request)
            return at
        }
        let guest = try await instantGuest(hypervisor, request)
        try await noteHold(.frozen)
        let instant = await InstantTaker(clock: dependencies.clock, executor: dependencies.executor)
            .take([guest], as: .frozen)
        try await end(instant, hold: .frozen)
        if let begun = instant.begun.first {
            try begun.get()
            return instant.at
        }
        let at = now
        try await hypervisor.beginBackup(uuid: relationship.vmUUID, request)
        return at
    }

    /// The guest, with its connections open: none is made while it is held.
    func instantGuest(_ hypervisor: any Hypervisor, _ request: BackupRequest) async throws -> InstantGuest {
        InstantGuest(
            name: relationship.name, uuid: relationship.vmUUID, own: try await hypervisor.apart(),
            rescue: try await hypervisor.apart(), request: request)
    }

    /// The instant that this VM shares with others.
    private func takeInstant(
        with gathering: Gathering, _ hypervisor: any Hypervisor, _ request: BackupRequest
    ) async throws -> Timestamp {
        let guest = try await instantGuest(hypervisor, request)
        let turn = await gathering.join(
            relationship.id, job: job.id, guest, host: relationship.source, generation: fact("generation") ?? "")
        switch turn {
        case .alone(let goesOn):
            if !goesOn { try await tellOfHeldGuest() }
            let at = now
            try await hypervisor.beginBackup(uuid: relationship.vmUUID, request)
            return at
        case .taken(let part):
            try await note(consistency: part.consistency, reason: part.crashReason, seconds: part.seconds)
            if !part.goesOn { try await tellOfHeldGuest() }
            try part.begun.get()
            return part.at
        }
    }

    private func wantsApplicationPoint() async throws -> Bool {
        guard Self.cycles.contains(job.operation), relationship.newestGeneration != nil else { return false }
        if let asked = argument("consistency") { return asked == PointConsistency.application.rawValue }
        let (id, now, last) = (relationship.policy, now, relationship.applicationTriedAt)
        return try await dependencies.vault.read { vault in
            try vault.object(Policy.self, id: id).map { ApplicationTurn.isDue($0.value, lastTry: last, now: now) }
                ?? false
        }
    }

    /// Writes down that the guest is about to be held.
    func noteHold(_ hold: GuestHold) async throws {
        let now = now
        try await record { _, relationship, _ in
            relationship.noteHold(hold, at: relationship.source, now: now)
        }
    }

    /// Writes down how the instant went; the guest has been let go already.
    private func end(_ instant: HeldInstant, hold: GuestHold) async throws {
        let reason = instant.holdFailure ?? Self.brokenHold(instant, index: 0)
        if instant.goesOn.first == false { try await tellOfHeldGuest() }
        try await record { job, relationship, _ in
            if instant.goesOn.first == true { relationship.noteLetGo(from: hold) }
            job.facts["consistency"] = (reason == nil ? PointConsistency.application : .crash).rawValue
            job.facts["crashReason"] = reason
            job.facts["held"] = String(instant.seconds)
        }
    }

    static func brokenHold(_ instant: HeldInstant, index: Int) -> String? {
        guard instant.wasHeld.indices.contains(index), !instant.wasHeld[index] else { return nil }
        return instant.seconds >= InstantTaker.limit
            ? "the guest was let go after \(Int(InstantTaker.limit)) s, before its backup had begun"
            : "the guest was let go before its backup had begun"
    }

    func note(consistency: PointConsistency?, reason: String?, seconds: Double?) async throws {
        try await record { job, _, _ in
            job.facts["consistency"] = consistency?.rawValue
            job.facts["crashReason"] = reason
            job.facts["held"] = seconds.map { String($0) }
        }
    }

    /// A guest that cannot be told to go on: somebody has to look, and it is tried again and again meanwhile.
    func tellOfHeldGuest() async throws {
        let (now, name) = (now, relationship.name)
        try await record { _, relationship, vault in
            try vault.append(
                Event(
                    at: now, severity: .critical, object: relationship.id,
                    text: "\(name) may stand still: it was held for a recovery point and cannot be told to go on",
                    code: "guest-held", topic: .vm,
                    recommendation:
                        "look at it: virsh domfsthaw, or virsh resume; it is tried again as long as it is so"))
        }
    }

    /// Lets a guest go that an earlier driver of this VM's jobs has held, or was about to.
    func letGoOfGuest() async throws {
        guard let held = relationship.heldGuest else { return }
        guard held.host == relationship.owner else {
            // Ownership has gone elsewhere: nothing here makes this copy write again.
            return try await record { _, relationship, _ in relationship.heldGuest = nil }
        }
        guard let hypervisor = try? await hosts.hypervisor(held.host) else { return }
        for hold in held.holds where (try? await hypervisor.letGo(uuid: relationship.vmUUID, from: hold)) != nil {
            try await record { _, relationship, _ in relationship.noteLetGo(from: hold) }
        }
    }

    /// What the job knows of a point's instant; a failure to hold the guest is told when that begins and not each time.
    nonisolated static func noteInstant(
        of generation: String, _ job: Job, _ relationship: inout Relationship, _ vault: any VaultWriter,
        _ now: Timestamp
    ) throws {
        guard let consistency = job.facts["consistency"],
            var stored = try vault.object(RecoveryPoint.self, id: generation)
        else { return }
        stored.value.heldSeconds = job.facts["held"].flatMap(Double.init)
        stored.value.crashReason = job.facts["crashReason"]
        let point = try vault.update(stored).value
        guard job.arguments["group"] == nil else { return }
        relationship.applicationTriedAt = point.at
        let trouble = consistency == PointConsistency.application.rawValue ? nil : job.facts["crashReason"]
        let before = relationship.applicationTrouble
        relationship.applicationTrouble = trouble
        if let trouble, before == nil {
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationship.id,
                    text: "point \(point.number) of \(relationship.name) was to be application-consistent and is "
                        + "crash-consistent: \(trouble)", code: "not-application-consistent", topic: .vm,
                    causes: ["no guest agent runs in the guest", "the guest is too busy to answer its agent"],
                    recommendation: "see that qemu-guest-agent runs in the guest: perilune doctor --vm asks it"))
        } else if trouble == nil, before != nil {
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationship.id,
                    text: "points of \(relationship.name) are application-consistent again",
                    code: "application-consistent-again", topic: .vm))
        }
    }
}
