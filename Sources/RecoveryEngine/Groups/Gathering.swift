import Hypervisors
import SiteModel
import Synchronization
import VaultStore

/// Where the jobs of several VMs wait for each other, so that their backups begin at one instant.
///
/// The last one to come holds all the guests, begins all the backups and lets all go. A VM that comes no more lets the others
/// go on, each by itself.
actor Gathering {
    /// What one VM's job gets.
    enum Turn: Sendable {
        /// There is no common instant: the job begins its backup by itself; and whether the guest is known to go on.
        case alone(goesOn: Bool)
        case taken(Part)
    }

    /// One VM's part in the common instant.
    struct Part: Sendable {
        var begun: Result<Void, any Error>
        var at: Timestamp
        var seconds: Double
        var consistency: PointConsistency
        var crashReason: String?
        var goesOn: Bool
    }

    private struct Arrival {
        var job: String
        var guest: InstantGuest
        var host: String
        var generation: String
        var answer: CheckedContinuation<Turn, Never>
    }

    private let dependencies: EngineDependencies
    private let group: GroupPoint
    private let lease: KeptLease
    private let wanted: PointConsistency
    private var arrived: [String: Arrival] = [:]
    /// Why there is no common instant; nil where there is one, or may be yet.
    private(set) var failure: String?
    private let over = Mutex(false)

    init(_ group: GroupPoint, consistency: PointConsistency, lease: KeptLease, dependencies: EngineDependencies) {
        self.group = group
        self.wanted = consistency
        self.lease = lease
        self.dependencies = dependencies
    }

    /// Nobody waits here any more: the instant was taken, or will not be.
    nonisolated var isOver: Bool { over.withLock { $0 } }

    /// Waits for the others, and returns with the VM's backup begun, unless it is to begin it alone.
    func join(
        _ relationship: String, job: String, _ guest: InstantGuest, host: String, generation: String
    ) async -> Turn {
        if isOver { return .alone(goesOn: true) }
        return await withCheckedContinuation { answer in
            arrived[relationship] = Arrival(
                job: job, guest: guest, host: host, generation: generation, answer: answer)
            guard arrived.count == group.members.count else { return }
            over.withLock { $0 = true }
            Task(executorPreference: dependencies.executor) { await self.take() }
        }
    }

    /// The VM comes no more; nothing happens where the instant was taken.
    func leave(_ vm: String) {
        if isOver { return }
        over.withLock { $0 = true }
        failure = "\(vm) did not come as far as its instant"
        for arrival in arrived.values { arrival.answer.resume(returning: .alone(goesOn: true)) }
        arrived = [:]
    }

    private func take() async {
        let members = group.members.compactMap { member in arrived[member.relationship].map { (member, $0) } }
        arrived = [:]
        do {
            try await take(members)
        } catch {
            // Nobody is held that the vault does not know of: whoever looks next lets them go.
            failure = JobDriver.describe(error).message
            for (_, arrival) in members { arrival.answer.resume(returning: .alone(goesOn: true)) }
        }
    }

    private func take(_ members: [(GroupPoint.Member, Arrival)]) async throws {
        let taker = InstantTaker(clock: dependencies.clock, executor: dependencies.executor)
        let guests = members.map(\.1.guest)
        var (hold, reason): (GuestHold, String?) = (wanted == .application ? .frozen : .paused, nil)
        try await note(members, hold)
        var instant = await taker.take(guests, as: hold)
        // A freeze that nobody answered may come about late: who is not known to be thawed stays noted as frozen.
        var goOn = guests.map { _ in true }
        if hold == .frozen, let failure = instant.holdFailure {
            goOn = instant.goesOn
            (hold, reason) = (.paused, failure)
            try await note(members, hold, thawed: goOn)
            instant = await taker.take(guests, as: hold)
        }
        let broken = zip(guests.indices, guests).compactMap { index, guest in
            JobDriver.brokenHold(instant, index: index).map { "\(guest.name): \($0)" }
        }
        failure = instant.holdFailure ?? broken.first ?? instant.begun.compactMap(Self.message).first
        let consistency: PointConsistency = hold == .frozen ? .application : .crash
        await end(members, instant, hold, consistency, reason)
        for (index, (_, arrival)) in members.enumerated() {
            guard instant.begun.indices.contains(index) else {
                arrival.answer.resume(returning: .alone(goesOn: instant.goesOn[index] && goOn[index]))
                continue
            }
            let own = JobDriver.brokenHold(instant, index: index)
            arrival.answer.resume(
                returning: .taken(
                    Part(
                        begun: instant.begun[index], at: instant.at, seconds: instant.seconds,
                        consistency: own == nil ? consistency : .crash,
                        crashReason: wanted == .application ? reason ?? own : nil,
                        goesOn: instant.goesOn[index] && goOn[index])))
        }
    }

    private static func message(_ begun: Result<Void, any Error>) -> String? {
        guard case .failure(let error) = begun else { return nil }
        return JobDriver.describe(error).message
    }

    /// Writes down that all are about to be held, in one transaction; and which of them were thawed before.
    ///
    /// Throws, and then nobody is to be held, where one's job is not the one that came here any more.
    private func note(
        _ members: [(GroupPoint.Member, Arrival)], _ hold: GuestHold, thawed: [Bool]? = nil
    ) async throws {
        let (lease, now) = (await lease.lease, dependencies.clock.now)
        let hosts = members.map { ($0.0.relationship, $0.1.host, $0.1.job) }
        try await dependencies.vault.write { vault in
            try vault.require(lease, now: now)
            for (index, (id, host, job)) in hosts.enumerated() {
                guard var relationship = try vault.object(Relationship.self, id: id) else { continue }
                guard relationship.value.activeJob == job else {
                    throw EngineError(
                        .failed, "another operation has begun of \(relationship.value.name)",
                        hint: "make the group point again when it has ended", object: relationship.value.name)
                }
                if thawed?[index] == true { relationship.value.noteLetGo(from: .frozen) }
                relationship.value.noteHold(hold, at: host, now: now)
                try vault.update(relationship)
            }
        }
    }

    /// Writes down what was taken, and that the guests go on; a write that fails leaves that to whoever looks next.
    private func end(
        _ members: [(GroupPoint.Member, Arrival)], _ instant: HeldInstant, _ hold: GuestHold,
        _ consistency: PointConsistency, _ reason: String?
    ) async {
        let (lease, now, id, isTaken) = (await lease.lease, dependencies.clock.now, group.id, failure == nil)
        let generations = members.map { ($0.0.relationship, $0.1.generation) }
        do {
            try await dependencies.vault.write { vault in
                try vault.require(lease, now: now)
                for (index, (member, _)) in generations.enumerated() where instant.goesOn[index] {
                    guard var relationship = try vault.object(Relationship.self, id: member) else { continue }
                    relationship.value.noteLetGo(from: hold)
                    try vault.update(relationship)
                }
                guard isTaken, var group = try vault.object(GroupPoint.self, id: id) else { return }
                for index in group.value.members.indices {
                    let member = group.value.members[index].relationship
                    group.value.members[index].generation = generations.first { $0.0 == member }?.1
                }
                group.value.state = .taken
                group.value.at = instant.at
                group.value.heldSeconds = instant.seconds
                group.value.spreadSeconds = instant.spread
                group.value.consistency = consistency
                group.value.crashReason = reason
                try vault.update(group)
            }
        } catch {
            failure = JobDriver.describe(error).message
        }
    }
}
