package import SiteModel
import VaultStore

/// What becomes of the turns that a replicator gives to VMs.
package enum ReplicationNews: Sendable {
    /// A cycle made a new point.
    case point(vm: String, Job)
    /// A job that a dead engine had left open was driven to its end.
    case finished(vm: String, Job)
    /// Also of a duty, by its name.
    case trouble(vm: String, String)
}

/// Runs cycles at each policy's frequency, and duties beside them, until it is cancelled.
///
/// A cycle that overruns delays the next one of its VM; cycles are never stacked. A failure is tried again after a pause that
/// grows, so that one VM's trouble never stops the others. What is written in the vault is taken up by its change number;
/// nothing is read twice that nobody has written. Jobs that a dead engine left open are taken up as well.
package struct Replicator: Sendable {
    /// Seconds between two looks at the vault's change number.
    static let tick = 0.5
    /// Seconds between two looks for jobs without an engine.
    private static let orphanInterval = 5.0
    /// Seconds over which cycles that are overdue when a replicator begins are spread.
    private static let spread = 5.0

    let engine: RecoveryEngine
    let limits: CycleLimits
    let duties: [Duty]
    package let gauge: ReplicatorGauge
    let report: @Sendable (ReplicationNews) -> Void

    package init(
        engine: RecoveryEngine, limits: CycleLimits = CycleLimits(), duties: [Duty] = Duty.standard,
        gauge: ReplicatorGauge = ReplicatorGauge(), report: @escaping @Sendable (ReplicationNews) -> Void
    ) {
        self.engine = engine
        self.limits = limits
        self.duties = duties
        self.gauge = gauge
        self.report = report
    }

    package func run() async throws {
        let (rings, bell) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let done = Finished(bell: bell)
        var book = Book(queue: CycleQueue(limits: limits), roster: DutyRoster(duties, now: now), nextOrphans: now)
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await engine.dependencies.clock.sleep(seconds: Self.tick)
                    bell.yield()
                }
            }
            bell.yield()
            for await _ in rings {
                if Task.isCancelled { break }
                do {
                    try await takeIn(done.take(), &book)
                    for job in try await orphans(&book) {
                        group.addTask { done.note(await takeUp(job)) }
                    }
                } catch let error as VaultError where error.code == .locked {
                    // Another process migrates or repairs it; what is due stays due.
                    report(.trouble(vm: "vault", "\(error)"))
                    continue
                }
                for entry in book.queue.takeReady(now: now) {
                    noteBegin(of: entry)
                    group.addTask { done.note(.turn(entry.relationship, failed: await turn(entry))) }
                }
                for index in book.roster.takeDue(now: now) {
                    group.addTask { done.note(await act(index)) }
                }
                gauge.change {
                    $0.running = book.queue.runningCount
                    $0.waiting = book.queue.waitingCount
                    $0.watched = book.queue.entries.count
                }
            }
            group.cancelAll()
        }
    }

    private var now: Timestamp { engine.dependencies.clock.now }

    private func noteBegin(of entry: CycleQueue.Entry) {
        let delay = now.seconds(since: entry.due)
        gauge.change { figures in
            figures.begun += 1
            // A pause after failures, or a late start of the engine, is no delay of the schedule's.
            guard entry.operation == .sync, entry.notBefore == nil else { return }
            figures.longestDelay = max(figures.longestDelay, delay)
            figures.longestShare = max(figures.longestShare, delay / entry.frequency)
            if delay > entry.frequency * CycleTiming.tolerance { figures.late += 1 }
        }
    }

    // MARK: Turns

    /// One turn of one VM; returns whether it failed.
    private func turn(_ entry: CycleQueue.Entry) async -> Bool {
        let began = now
        do {
            let job = try await engine.perform(entry.operation, on: entry.relationship)
            gauge.change { $0.succeeded += 1 }
            report(.point(vm: entry.name, job))
            return false
        } catch {
            gauge.change { $0.failed += 1 }
            // Where even this cannot be written, the cycles that are missing tell of it.
            try? await engine.noteCycleNotBegun(entry.relationship, since: began, error)
            report(.trouble(vm: entry.name, "\(error)"))
            return true
        }
    }

    private func takeUp(_ orphan: Orphan) async -> Finished.End {
        do {
            let job = try await engine.drive(orphan.job)
            report(.finished(vm: orphan.name, job))
            return .orphan(orphan.job, failed: false)
        } catch {
            report(.trouble(vm: orphan.name, "\(error)"))
            return .orphan(orphan.job, failed: true)
        }
    }

    private func act(_ index: Int) async -> Finished.End {
        do {
            try await duties[index].act(engine)
        } catch is CancellationError {
        } catch {
            report(.trouble(vm: duties[index].name, "\(error)"))
        }
        return .duty(index)
    }
}

// MARK: Keeping up with the vault

extension Replicator {
    /// A job without an engine.
    private struct Orphan: Sendable {
        var job: String
        var name: String
    }

    /// What the loop knows.
    private struct Book {
        var queue: CycleQueue
        var roster: DutyRoster
        /// The vault's change number up to which everything is known; nil before the first look.
        var seen: Int?
        var policies: [String: Policy] = [:]
        var sites: [String: String] = [:]
        var nextOrphans: Timestamp
        /// Jobs that are being taken up, and how often that failed, and when they are tried again.
        var orphans: [String: (failures: Int, notBefore: Timestamp)] = [:]
        var drivenOrphans: Set<String> = []
    }

    /// Takes in what has ended and what was written in the vault since the last look.
    private func takeIn(_ ends: [Finished.End], _ book: inout Book) async throws {
        let now = now
        var again: Set<String> = []
        for end in ends {
            switch end {
            case .turn(let relationship, let failed):
                book.queue.finish(relationship, failed: failed, now: now)
                again.insert(relationship)
            case .duty(let index): book.roster.finish(index)
            case .orphan(let job, let failed):
                book.drivenOrphans.remove(job)
                guard failed else { continue }
                let failures = (book.orphans[job]?.failures ?? 0) + 1
                let pause = CycleTiming.pause(afterFailures: failures, frequency: 30, id: job)
                book.orphans[job] = (failures, now.advanced(bySeconds: pause))
            }
        }
        let (seen, policies, sites) = (book.seen, book.policies, book.sites)
        let ids = again
        let offset = engine.dependencies.localOffset(now)
        let news = try await engine.vault.read { vault -> News? in
            let number = try vault.changeNumber()
            if number == seen, ids.isEmpty { return nil }
            var news = News(number: number, policies: policies, sites: sites)
            var isAnew = seen == nil
            if let seen, number != seen {
                isAnew =
                    try !vault.objects(Policy.self, changedAfter: seen).isEmpty
                    || !vault.objects(Host.self, changedAfter: seen).isEmpty
            }
            if isAnew {
                news.policies = Dictionary(
                    try vault.objects(Policy.self).map { ($0.value.id, $0.value) }, uniquingKeysWith: { a, _ in a })
                news.sites = Dictionary(
                    try vault.objects(Host.self).map { ($0.value.id, $0.value.site) }, uniquingKeysWith: { a, _ in a })
            }
            let planner = CyclePlanner(now: now, offset: offset, policies: news.policies, sites: news.sites)
            let written =
                try isAnew
                ? vault.objects(Relationship.self) : vault.objects(Relationship.self, changedAfter: seen ?? 0)
            var known: Set<String> = []
            for relationship in written.map(\.value) {
                known.insert(relationship.id)
                news.entries.append((relationship.id, try planner.entry(for: relationship, vault)))
            }
            for id in ids where !known.contains(id) {
                let relationship = try vault.object(Relationship.self, id: id)?.value
                news.entries.append((id, try relationship.flatMap { try planner.entry(for: $0, vault) }))
            }
            return news
        }
        guard let news else { return }
        (book.seen, book.policies, book.sites) = (news.number, news.policies, news.sites)
        for (relationship, entry) in news.entries where !book.queue.isRunning(relationship) {
            guard var entry else {
                book.queue.remove(relationship)
                continue
            }
            if seen == nil, entry.due <= now {
                entry.notBefore = now.advanced(
                    bySeconds: CycleTiming.phase(of: relationship) * min(Self.spread, entry.frequency / 10))
            }
            book.queue.set(entry)
        }
    }

    private struct News: Sendable {
        var number: Int
        var policies: [String: Policy]
        var sites: [String: String]
        var entries: [(relationship: String, entry: CycleQueue.Entry?)] = []
    }

    /// Jobs that no living engine drives, as far as it is time to look and to try again.
    private func orphans(_ book: inout Book) async throws -> [Orphan] {
        let now = now
        guard now >= book.nextOrphans else { return [] }
        book.nextOrphans = now.advanced(bySeconds: Self.orphanInterval)
        let jobs = try await engine.orphanedJobs()
        book.orphans = book.orphans.filter { entry in jobs.contains { $0.id == entry.key } }
        var found: [Orphan] = []
        for job in jobs {
            // One that was begun this moment has no lease yet.
            guard now.seconds(since: job.startedAt) >= 1, !book.queue.isRunning(job.relationship),
                !book.drivenOrphans.contains(job.id), book.orphans[job.id].map({ $0.notBefore <= now }) ?? true
            else { continue }
            book.drivenOrphans.insert(job.id)
            let name = try await engine.vault.read {
                try $0.object(Relationship.self, id: job.relationship)?.value.name ?? job.relationship
            }
            found.append(Orphan(job: job.id, name: name))
        }
        return found
    }
}
