import Hypervisors
package import SiteModel
import Synchronization
import VaultStore

/// Points of several VMs at one instant.
extension RecoveryEngine {
    /// Makes a point of each VM, all of one instant, and returns when all are whole.
    ///
    /// With consistency `application` the guests' agents freeze them; where one cannot, all are paused instead, and the group
    /// point says why it is crash-consistent. With `crash` all are paused. A VM whose point fails leaves the others' as
    /// ordinary points.
    ///
    /// - Throws: `EngineError`; when a rule forbids a point of one of them nothing was begun.
    @discardableResult
    package func makeGroupPoint(
        named name: String, of relationships: [String], consistency: PointConsistency = .crash, run: String? = nil
    ) async throws -> GroupPoint {
        if let refusal = try await vault.identity()?.refusal(nil) { throw refusal }
        try await settleGroupPoints()
        var members: [Relationship] = []
        for id in relationships { members.append(try await relationship(id)) }
        let wanted = GroupPoint(
            id: dependencies.identifiers.next(), name: name,
            members: members.map { GroupPoint.Member(relationship: $0.id, vm: $0.name) }, run: run)
        try Self.check(wanted, "group point '\(name)'")
        for member in members { try await checkMember(member) }
        let (now, dependencies) = (dependencies.clock.now, dependencies)
        let lease = try await vault.write { vault in
            guard try vault.object(GroupPoint.self, named: name, parent: nil) == nil else {
                throw EngineError(
                    .invalid, "there is a group point '\(name)' already", hint: "name this one otherwise", object: name)
            }
            try vault.insert(wanted)
            return try vault.acquireLease(
                Self.groupLease(wanted.id), holder: dependencies.holder, now: now,
                lifetime: dependencies.leaseLifetime)
        }
        let kept = KeptLease(lease, dependencies: dependencies)
        await kept.keep()
        let gathering = Gathering(wanted, consistency: consistency, lease: kept, dependencies: dependencies)
        gatherings.withLock { $0[wanted.id] = gathering }
        let failures = await makeMembers(of: wanted, gathering, run: run)
        gatherings.withLock { $0[wanted.id] = nil }
        let broken = await gathering.failure
        let why = failures.first ?? broken ?? "a point is missing"
        let made: GroupPoint?
        do { made = try await conclude(wanted.id, why: why) } catch {
            // Another engine settles it, and must not wait for this one's lease.
            await kept.drop()
            throw error
        }
        await kept.drop()
        guard let made else {
            throw EngineError(
                .failed, "group point '\(name)' was not made: \(why)",
                hint: "what points came to be are ordinary ones of their VMs; mend the cause and make it anew",
                object: name)
        }
        return made
    }

    /// Makes each member's point; returns what failed.
    private func makeMembers(of group: GroupPoint, _ gathering: Gathering, run: String?) async -> [String] {
        await withTaskGroup(of: String?.self) { tasks in
            for member in group.members {
                tasks.addTask {
                    var failure: String?
                    do {
                        try await self.perform(
                            .sync, on: member.relationship, arguments: ["group": group.id],
                            run: run.map { RunStep(run: $0) })
                    } catch {
                        failure = "\(member.vm): \(JobDriver.describe(error).message)"
                    }
                    await gathering.leave(member.vm)
                    return failure
                }
            }
            return await tasks.reduce(into: []) { if let failure = $1 { $0.append(failure) } }
        }
    }

    /// Refuses what would come to nothing, before any VM's point is begun.
    private func checkMember(_ member: Relationship) async throws {
        try await check(.sync, on: member)
        if let open = try await openJob(of: member) {
            throw EngineError(
                .busy, "\(open.operation.rawValue) is under way on \(member.name)",
                hint: RuleBook.operationInProgress.hint, rule: RuleBook.operationInProgress.id, object: member.name)
        }
        let domain = try await hosts.hypervisor(member.source).domain(uuid: member.vmUUID)
        guard member.newestGeneration != nil, domain?.power == .running else {
            throw EngineError(
                .invalid, "\(member.name) does not run, or has no first copy: it has no instant to share",
                hint: "start it, or leave it out", object: member.name)
        }
    }

    static func groupLease(_ id: String) -> String { "group-point:\(id)" }

    /// Brings group points to their end whose engine died: whole where all their points came to be, and gone where not.
    ///
    /// One with a job still open waits for that.
    package func settleGroupPoints() async throws {
        let now = dependencies.clock.now
        let left = try await vault.read { vault in
            let open = Set(try vault.openJobs().compactMap { $0.value.arguments["group"] })
            return try vault.objects(GroupPoint.self).map(\.value).filter { group in
                try group.state != .whole && !open.contains(group.id)
                    && vault.lease(Self.groupLease(group.id)).map { $0.expiresAt <= now } ?? true
            }
        }
        for group in left { try await conclude(group.id, why: "its engine ended before all was there") }
    }

    /// Makes the group point whole, or takes its record away, in one transaction.
    ///
    /// Returns it when it is whole.
    @discardableResult
    private func conclude(_ id: String, why: String) async throws -> GroupPoint? {
        let now = dependencies.clock.now
        return try await vault.write { vault in
            guard var group = try vault.object(GroupPoint.self, id: id) else { return nil }
            if group.value.state == .whole { return group.value }
            var points: [Stored<RecoveryPoint>] = []
            for index in group.value.members.indices {
                guard let generation = group.value.members[index].generation,
                    let point = try vault.object(RecoveryPoint.self, id: generation)
                else { continue }
                points.append(point)
                group.value.members[index].number = point.value.number
            }
            let vms = group.value.members.map(\.vm).joined(separator: ", ")
            guard group.value.state == .taken, points.count == group.value.members.count else {
                try vault.delete(group)
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: nil,
                        text: "group point '\(group.value.name)' of \(vms) was not made: \(why)",
                        code: "group-point-failed", topic: .vm))
                return nil
            }
            for var point in points {
                point.value.group = group.value.name
                try vault.update(point)
            }
            group.value.state = .whole
            try vault.append(
                Event(
                    at: now, severity: .info, object: nil,
                    text:
                        "group point '\(group.value.name)' of \(vms) is whole: \(group.value.consistency.rawValue)-consistent"
                        + (group.value.crashReason.map { " (\($0))" } ?? ""),
                    code: "group-point-whole", topic: .vm))
            return try vault.update(group).value
        }
    }
}

extension GroupPoint {
    /// The generations of this VM's points that group points keep.
    static func kept(of relationship: String, in vault: any VaultReader) throws -> [String] {
        let groups = try vault.objects(GroupPoint.self).map(\.value).filter { $0.generation(of: relationship) != nil }
        let whole = groups.filter { $0.state == .whole }.sorted {
            ($0.at?.milliseconds ?? 0, $0.id) > ($1.at?.milliseconds ?? 0, $1.id)
        }
        let kept = groups.filter { $0.state == .taken } + whole.prefix(keptOfEachVM)
        return kept.compactMap { $0.generation(of: relationship) }
    }

    /// Takes apart the group points that have lost this VM's point: the others' points are ordinary ones from then on.
    static func takeApart(losing relationship: String, in vault: any VaultWriter) throws {
        for group in try vault.objects(GroupPoint.self) where group.value.state == .whole {
            guard let generation = group.value.generation(of: relationship),
                try vault.object(RecoveryPoint.self, id: generation) == nil
            else { continue }
            for member in group.value.members {
                guard let other = member.generation, var point = try vault.object(RecoveryPoint.self, id: other) else {
                    continue
                }
                point.value.group = nil
                try vault.update(point)
            }
            try vault.delete(group)
        }
    }
}

extension PointChoice {
    private static let group = "group:"

    /// The generation that the name of a group point stands for in this VM's points; nil where it is no such name, or the VM is
    /// not in that group point.
    static func generation(_ wanted: String, of relationship: String, in vault: any VaultReader) throws -> String? {
        guard wanted.hasPrefix(group) else { return nil }
        let name = String(wanted.dropFirst(group.count))
        let found = try vault.object(GroupPoint.self, named: name, parent: nil)
        guard let found, found.value.state == .whole else { return nil }
        return found.value.generation(of: relationship)
    }
}
