package import SiteModel
import VaultStore

/// What becomes of the turns that a replicator gives to VMs.
package enum ReplicationNews: Sendable {
    /// A cycle made a new point.
    case point(vm: String, Job)
    /// A job that a dead engine had left open was driven to its end.
    case finished(vm: String, Job)
    case trouble(vm: String, String)
}

/// Runs cycles at each policy's frequency until it is cancelled.
///
/// A cycle that overruns delays the next one of its VM; cycles are never stacked. A failure is recorded and tried again after
/// a pause, so that one VM's trouble never stops the others. Jobs that a dead engine left open are taken up as well.
package struct Replicator: Sendable {
    /// How many VMs are copied at once.
    package static let width = 4
    /// The longest pause after a failure, in seconds; a policy that copies more often pauses for its frequency.
    package static let longestPause = 30.0

    let engine: RecoveryEngine
    let report: @Sendable (ReplicationNews) -> Void

    package init(engine: RecoveryEngine, report: @escaping @Sendable (ReplicationNews) -> Void) {
        self.engine = engine
        self.report = report
    }

    package func run() async throws {
        let board = Board()
        try await withThrowingDiscardingTaskGroup { group in
            while !Task.isCancelled {
                for work in try await workNow() where await board.take(work.relationship, now: now, width: Self.width) {
                    group.addTask {
                        let failed = await turn(work)
                        await board.put(
                            back: work.relationship, notBefore: failed ? now.advanced(bySeconds: work.pause) : nil)
                    }
                }
                try await engine.dependencies.clock.sleep(seconds: 1)
            }
        }
    }

    private var now: Timestamp { engine.dependencies.clock.now }

    /// One turn of one VM.
    private struct Work: Sendable {
        var relationship: String
        var name: String
        /// The job to take up; nil for a new one.
        var job: String?
        var operation = Operation.sync
        /// Seconds before the next try, should this one fail.
        var pause: Double
    }

    /// Which VMs have a turn under way, and which have failed so lately that they wait.
    private actor Board {
        private var taken: Set<String> = []
        private var notBefore: [String: Timestamp] = [:]

        func take(_ relationship: String, now: Timestamp, width: Int) -> Bool {
            guard taken.count < width, !taken.contains(relationship) else { return false }
            if let time = notBefore[relationship], now < time { return false }
            taken.insert(relationship)
            return true
        }

        func put(back relationship: String, notBefore time: Timestamp?) {
            taken.remove(relationship)
            notBefore[relationship] = time
        }
    }

    /// Jobs whose engine died, then cycles that are due.
    private func workNow() async throws -> [Work] {
        let orphans = try await engine.orphanedJobs()
        let due = try await dueNow()
        let policies = try await engine.vault.read { try $0.objects(Policy.self).map(\.value) }
        let names = try await engine.vault.read { try $0.objects(Relationship.self).map(\.value) }
        let jobs = orphans.map { job in
            Work(
                relationship: job.relationship,
                name: names.first { $0.id == job.relationship }?.name ?? job.relationship, job: job.id,
                pause: Self.longestPause)
        }
        let cycles = due.map { relationship in
            let frequency = policies.first { $0.id == relationship.policy }?.copyFrequencySeconds
            return Work(
                relationship: relationship.id, name: relationship.name, job: nil,
                pause: min(Double(frequency ?? 300), Self.longestPause))
        }
        return jobs + cycles + (try await outstanding(now: now))
    }

    /// First copies whose time has come, and resyncs that the policy begins by itself.
    private func outstanding(now: Timestamp) async throws -> [Work] {
        let offset = engine.dependencies.localOffset(now)
        return try await engine.vault.read { vault in
            try vault.objects(Relationship.self).map(\.value).compactMap { relationship in
                guard relationship.activeJob == nil else { return nil }
                func work(_ operation: Operation) -> Work {
                    Work(
                        relationship: relationship.id, name: relationship.name, job: nil, operation: operation,
                        pause: Self.longestPause)
                }
                let policy = try vault.object(Policy.self, id: relationship.policy)?.value
                if ResyncSchedule.isDue(relationship, policy, now: now, localOffset: offset) { return work(.resync) }
                switch relationship.state {
                case .firstCopyPending:
                    let due = relationship.firstCopy.map { $0.method == .scheduled } ?? false
                    return due && relationship.firstCopy?.startAt.map { $0 <= now } ?? false
                        ? work(.startFirstCopy) : nil
                default: return nil
                }
            }
        }
    }

    /// The VMs whose newest point is older than their policy's frequency, the most overdue first.
    package func dueNow() async throws -> [Relationship] {
        let now = engine.dependencies.clock.now
        let overdue = try await engine.vault.read { vault in
            var overdue: [(relationship: Relationship, seconds: Double)] = []
            for relationship in try vault.objects(Relationship.self).map(\.value) where Self.isCopied(relationship) {
                let policy = try vault.object(Policy.self, id: relationship.policy)?.value
                let newest = try relationship.newestGeneration.flatMap {
                    try vault.object(RecoveryPoint.self, id: $0)?.value.at
                }
                let age = newest.map { now.seconds(since: $0) } ?? .infinity
                overdue.append((relationship, age - Double(policy?.copyFrequencySeconds ?? 300)))
            }
            return overdue
        }
        return overdue.filter { $0.seconds >= 0 }.sorted { $0.seconds > $1.seconds }.map { $0.relationship }
    }

    private static func isCopied(_ relationship: Relationship) -> Bool {
        relationship.activeJob == nil && (relationship.state == .protected || relationship.state == .testing)
    }

    /// Returns whether it failed.
    private func turn(_ work: Work) async -> Bool {
        do {
            if let orphan = work.job {
                let job = try await engine.drive(orphan)
                report(.finished(vm: work.name, job))
                return false
            }
            let job = try await engine.perform(work.operation, on: work.relationship)
            report(.point(vm: work.name, job))
            return false
        } catch {
            report(.trouble(vm: work.name, "\(error)"))
            return true
        }
    }
}
