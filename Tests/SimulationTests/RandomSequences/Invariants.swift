import BlockReplication
import Hypervisors
import SiteModel
import Simulation
import VaultStore

/// What the checks know of the time before.
struct Memory: Sendable {
    var vault = Play.VaultNumbers(change: 0, event: 0)
    var relationships: [String: Relationship] = [:]
    /// Points of each relationship, oldest first.
    var points: [String: [RecoveryPoint]] = [:]
    /// What each point held when it was first seen, by its generation.
    var contents: [String: [String: VersionedExtents]] = [:]
    /// Points that were lost with the state of a store, which is nobody's fault here.
    var gone: Set<String> = []
    /// Somebody has looked at the hosts since one of them came back.
    var watched = true
    var checks = 0
}

/// What must be so after every move.
extension Play {
    func check() async throws {
        memory.checks += 1
        let now = try await vaultNumbers()
        let before = memory.vault
        let seen = try await vault.read { vault in
            Seen(
                relationships: try vault.objects(Relationship.self).map(\.value),
                points: Dictionary(grouping: try vault.objects(RecoveryPoint.self).map(\.value), by: \.relationship)
                    .mapValues { $0.sorted { $0.number < $1.number } },
                jobs: try vault.objects(Job.self, changedAfter: before.change).map(\.value),
                open: try vault.openJobs().map(\.value),
                events: try vault.events(after: before.event, limit: 10_000).map(\.event))
        }
        if memory.watched { world.checkAlone() }
        if let violation = world.violations.first { throw Broken(violation) }
        for relationship in seen.relationships {
            try checkOwnership(relationship)
            try checkJob(relationship, seen)
            try checkPoints(relationship, seen)
            memory.relationships[relationship.id] = relationship
            memory.points[relationship.id] = seen.points[relationship.id] ?? []
        }
        try checkTests(seen.relationships)
        try checkEvents(seen)
        memory.vault = now
    }

    struct Seen: Sendable {
        var relationships: [Relationship]
        var points: [String: [RecoveryPoint]]
        /// Written since the last check.
        var jobs: [Job]
        var open: [Job]
        var events: [Event]
    }

    // MARK: Ownership

    private func checkOwnership(_ relationship: Relationship) throws {
        let name = relationship.name
        guard [relationship.source, relationship.target].contains(relationship.owner) else {
            throw Broken("\(name) is owned by a third host")
        }
        if let before = memory.relationships[relationship.id] {
            if relationship.epoch < before.epoch { throw Broken("the epoch of \(name) went back") }
            if relationship.owner != before.owner, relationship.epoch == before.epoch {
                throw Broken("\(name) changed its owner within epoch \(before.epoch)")
            }
        }
        let records = world.look { state in
            state.hosts.mapValues {
                ($0.ownership[relationship.id], $0.answers, $0.domains[relationship.vmUUID]?.power)
            }
        }
        for (host, (record, _, _)) in records.sorted(by: { $0.key < $1.key }) {
            guard let record else { continue }
            if record.epoch > relationship.epoch { throw Broken("\(host) has \(name) at a later epoch than the vault") }
            if record.epoch == relationship.epoch, record.owner != relationship.owner {
                throw Broken("\(host) and the vault name two owners of \(name) at epoch \(record.epoch)")
            }
        }
        guard memory.watched, relationship.state != .unprotected, relationship.activeJob == nil else { return }
        for (host, (_, answers, power)) in records.sorted(by: { $0.key < $1.key })
        where answers && host != relationship.owner && power == .running {
            throw Broken("\(name) runs at \(host), and \(relationship.owner) owns it")
        }
    }

    // MARK: Jobs

    private func checkJob(_ relationship: Relationship, _ seen: Seen) throws {
        let name = relationship.name
        if let active = relationship.activeJob {
            guard let job = seen.open.first(where: { $0.id == active }) else {
                throw Broken("\(name) waits for a job that is not open")
            }
            guard job.relationship == relationship.id else { throw Broken("\(name) waits for another VM's job") }
        }
        for job in seen.open where job.relationship == relationship.id {
            guard relationship.activeJob == job.id else {
                throw Broken("an open job (\(job.operation.rawValue)) of \(name) is nobody's")
            }
        }
        let isUnderWay: Set<ReplicationState> = [
            .firstCopy, .resynchronizing, .failingOver, .failingOverPlanned, .reversing,
        ]
        if isUnderWay.contains(relationship.state), relationship.activeJob == nil {
            throw Broken("\(name) is \(relationship.state.rawValue), and no job is open")
        }
        if relationship.state == .testing, relationship.activeJob == nil, relationship.test == nil {
            throw Broken("\(name) is testing, and there is no test")
        }
        if relationship.test != nil, relationship.state != .testing {
            throw Broken("\(name) has a test and is \(relationship.state.rawValue)")
        }
    }

    private func checkEvents(_ seen: Seen) throws {
        for (earlier, later) in zip(seen.events, seen.events.dropFirst()) where later.at < earlier.at {
            throw Broken("an event is older than the one before it: \(later.text)")
        }
        let texts = seen.events.map(\.text)
        for job in seen.jobs where !job.state.isOpen {
            played.ends["\(job.operation.rawValue) \(job.state.rawValue)", default: 0] += 1
            guard job.endedAt != nil else { throw Broken("a job ended at no time") }
            let name = seen.relationships.first { $0.id == job.relationship }?.name ?? ""
            let wanted =
                switch job.state {
                case .succeeded: "\(job.operation.rawValue) of \(name) succeeded"
                case .failed: "\(job.operation.rawValue) of \(name) failed"
                default: ""
                }
            guard texts.contains(where: { $0.hasPrefix(wanted) }) else {
                throw Broken("no event says that \(wanted)")
            }
            if job.state == .failed, (job.failure?.message ?? "").isEmpty {
                throw Broken("\(job.operation.rawValue) of \(name) failed without a reason")
            }
        }
    }

    // MARK: Points

    /// Operations that give points up: all others keep those within retention.
    private static let givesUp: Set<Operation> = [.commit, .reverse, .unprotect, .protect, .startFirstCopy]

    private func checkPoints(_ relationship: Relationship, _ seen: Seen) throws {
        let (name, points) = (relationship.name, seen.points[relationship.id] ?? [])
        let former = memory.points[relationship.id] ?? []
        if let newest = points.last, newest.id != relationship.newestGeneration, relationship.failover == nil {
            throw Broken("the newest point of \(name) is \(newest.number), and the vault goes on from another")
        }
        for (earlier, later) in zip(points, points.dropFirst()) where later.at < earlier.at {
            throw Broken("point \(later.number) of \(name) shows an earlier instant than point \(earlier.number)")
        }
        let made = seen.jobs.filter { $0.relationship == relationship.id }.map(\.operation)
        if Self.givesUp.isDisjoint(with: made) {
            let lost = former.filter { point in
                !points.contains { $0.id == point.id } && !memory.gone.contains(point.id)
            }
            // What is left explains it: a point goes only where the policy prefers others, older or newer.
            let all = former + points.filter { point in !former.contains { $0.id == point.id } }
            let kept = Retention.kept(all, extra: site.recoveryPoints)
            for point in lost where kept.contains(where: { $0.id == point.id }) {
                throw Broken(
                    "point \(point.number) of \(name) is lost; it has \(points.map(\.number)), and its policy keeps "
                        + "\(site.recoveryPoints) besides the newest")
            }
        }
        try checkContents(relationship, points)
    }

    /// The points that the vault knows are whole at the host that it says, and hold what they held.
    private func checkContents(_ relationship: Relationship, _ points: [RecoveryPoint]) throws {
        let known = memory.contents
        let found = try world.look { state -> [String: [String: VersionedExtents]] in
            var contents: [String: [String: VersionedExtents]] = [:]
            for point in points where !memory.gone.contains(point.id) {
                guard let host = state.hosts[point.host],
                    let layer = host.stores[relationship.id]?.point(point.id)
                else {
                    // The target has merged points, and the job that asked for it goes on to write that down.
                    if relationship.activeJob != nil { continue }
                    throw Broken("point \(point.number) of \(relationship.name) is not at \(point.host)")
                }
                for (target, path) in layer.files {
                    guard let content = host.content(path)?.flattened else {
                        throw Broken("\(path) of point \(point.number) of \(relationship.name) is gone")
                    }
                    guard let before = known[point.id]?[target] else {
                        contents[point.id, default: [:]][target] = content
                        continue
                    }
                    if !content.readsLike(before, size: RandomSite.diskSize * 2) {
                        throw Broken("point \(point.number) of \(relationship.name) has changed")
                    }
                }
            }
            return contents
        }
        memory.contents.merge(found) { $1 }
    }

    // MARK: Tests

    /// A test VM, its disks and its networks are there while the vault knows of the test, and no longer.
    private func checkTests(_ relationships: [Relationship]) throws {
        let tests = relationships.compactMap(\.test)
        let networks = Set(tests.flatMap { $0.networks ?? [] }.map(\.name))
        let left = world.look { state -> String? in
            for host in state.hosts.values.sorted(by: { $0.name < $1.name }) {
                for domain in host.domains.values where domain.name.hasSuffix("-test") {
                    if !tests.contains(where: { $0.vmUUID == domain.uuid }) {
                        return "test VM \(domain.name) is left at \(host.name)"
                    }
                }
                for (id, store) in host.stores where store.boots[0] != nil {
                    guard relationships.first(where: { $0.id == id })?.test != nil else {
                        return "disks of a test are left at \(host.name)"
                    }
                }
                if let network = host.madeNetworkNames.first(where: { !networks.contains($0) }) {
                    return "network \(network) of a test is left at \(host.name)"
                }
            }
            return nil
        }
        if let left { throw Broken(left) }
    }
}
