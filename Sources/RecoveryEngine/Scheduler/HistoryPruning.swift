import SiteModel
import VaultStore

/// Removes jobs, runs and events that are over and beyond the limits.
///
/// What anything else in the vault names stays: a plan's run keeps its jobs, a rule of alerts the events that it has not looked at.
/// Each transaction is small, so that nobody waits for long who would write; an engine that dies on the way leaves nothing
/// half done.
extension RecoveryEngine {
    @discardableResult
    package func pruneHistory(_ limits: HistoryLimits = .standard) async throws -> PrunedHistory {
        var pruned = PrunedHistory()
        let now = dependencies.clock.now
        // Read once: what begins from here on has newer jobs and events, which stay.
        let (named, newest) = try await vault.read {
            (try NamedHistory($0, now: now, limits: limits), try $0.lastEventNumber())
        }
        for parent in try await vault.read({ try $0.parents(of: Job.self) }) {
            pruned.jobs += try await pruneJobs(of: parent, keeping: named, limits)
        }
        // After the jobs: what a run of a plan names goes with the next pruning, when the run is gone.
        pruned.runs = try await prunePlanRuns(limits) + pruneRuns(keeping: named, limits)
        pruned.events = try await pruneEvents(keeping: named, newest: newest, limits)
        return pruned
    }

    /// Prunes the jobs of one VM.
    private func pruneJobs(of relationship: String, keeping named: NamedHistory, _ limits: HistoryLimits) async throws
        -> Int
    {
        let now = dependencies.clock.now
        let spent = try await vault.read { vault in
            JobSelection(now: now, limits: limits, named: named)
                .spent(try vault.objects(Job.self, parent: relationship).map(\.value))
        }
        return try await remove(Job.self, spent, lease: Self.leaseName) { $0.state.isOpen }
    }

    /// Removes objects with their leases, and returns how many went.
    ///
    /// Another engine may have been here, and whoever ended one may not have let it go yet: what is kept, or held, stays.
    func remove<Object: SiteObject>(
        _ type: Object.Type, _ ids: [String], lease: @escaping @Sendable (String) -> String,
        keeping isKept: @escaping @Sendable (Object) -> Bool = { _ in false }
    ) async throws -> Int {
        let now = dependencies.clock.now
        var count = 0
        for part in ids.parts(of: Self.atOnce) {
            count += try await vault.write { vault in
                var removed = 0
                for id in part {
                    guard let object = try vault.object(type, id: id), !isKept(object.value) else { continue }
                    if let held = try vault.lease(lease(id)), now < held.expiresAt { continue }
                    try vault.delete(object)
                    try vault.forgetLease(lease(id), now: now)
                    if Object.self == Run.self { try vault.removeJournal(of: id, after: 0) }
                    removed += 1
                }
                return removed
            }
        }
        return count
    }

    /// Goes through the events, oldest first, as far as any may go.
    private func pruneEvents(keeping named: NamedHistory, newest: Int, _ limits: HistoryLimits) async throws -> Int {
        var selection = EventSelection(now: dependencies.clock.now, limits: limits, named: named, newest: newest)
        var (count, last) = (0, 0)
        while true {
            let from = last
            let events = try await vault.read { try $0.events(after: from, limit: Self.atOnce) }
            let (spent, isThrough) = selection.take(events)
            count += try await remove(events: spent)
            guard !isThrough, let reached = events.last?.number else { break }
            last = reached
        }
        return try await count + remove(events: selection.excess)
    }

    private func remove(events numbers: [Int]) async throws -> Int {
        for part in numbers.parts(of: Self.atOnce) { try await vault.write { try $0.removeEvents(Array(part)) } }
        return numbers.count
    }

    /// Jobs or events in one transaction.
    static var atOnce: Int { 500 }
}

/// What of the past something else in the vault still needs.
struct NamedHistory: Sendable {
    /// Ids of jobs that a run of a plan names, or that wait again should an open job fail.
    var jobs: Set<String> = []
    /// Ids of runs, of scripts and of plans, that are under way.
    var runs: Set<String> = []
    /// Since when each VM, by its relationship, is in the hands of an open job.
    var openSince: [String: Timestamp] = [:]
    /// Number of the newest event that every rule of alerts has looked at; nil when there is no rule.
    var alerted: Int?

    init(_ vault: any VaultReader, now: Timestamp, limits: HistoryLimits) throws {
        jobs = Set(try vault.objects(PlanStep.self).compactMap(\.value.job))
        for job in try vault.openJobs().map(\.value) {
            if let ended = job.endedJob { jobs.insert(ended) }
            openSince[job.relationship] = min(job.startedAt, openSince[job.relationship] ?? job.startedAt)
        }
        for run in try vault.objects(Run.self).map(\.value) where run.endedAt == nil {
            // A process that died wrote no end. One so old counts as dead, unless it is seen to live.
            let isOld = now.seconds(since: run.startedAt) > Double(limits.days) * 86_400
            let lives = try vault.lease(RecoveryEngine.runLeaseName(run.id)).map { now < $0.expiresAt } ?? false
            if !isOld || lives || run.pause != nil { runs.insert(run.id) }
        }
        for run in try vault.objects(PlanRun.self).map(\.value) where run.state.isOpen { runs.insert(run.id) }
        for rule in try vault.objects(AlertRule.self) {
            guard let outbox = try vault.object(AlertOutbox.self, id: rule.value.id)?.value else { continue }
            alerted = min(alerted ?? .max, outbox.cursor)
        }
    }

    func holds(_ event: Event) -> Bool {
        guard let object = event.object else { return false }
        return runs.contains(object) || openSince[object].map { event.at >= $0 } ?? false
    }
}

/// Which jobs of one VM are beyond the limits.
struct JobSelection: Sendable {
    var now: Timestamp
    var limits: HistoryLimits
    var named: NamedHistory

    /// Ids, oldest first.
    func spent(_ jobs: [Job]) -> [String] {
        let newestFirst = jobs.sorted { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
        var (cycles, others) = (0, 0)
        var seen: Set<Seen> = []
        var spent: [String] = []
        for job in newestFirst where !job.state.isOpen {
            let isCycle = job.operation == .sync && job.state == .succeeded
            if isCycle { cycles += 1 } else { others += 1 }
            // The last of its kind says how it was the last time, however long ago.
            if seen.insert(Seen(operation: job.operation, state: job.state)).inserted { continue }
            if named.jobs.contains(job.id) || job.run.map(named.runs.contains) ?? false { continue }
            let age = now.seconds(since: job.endedAt ?? job.startedAt)
            let isBeyond = isCycle ? cycles > limits.cyclesOfVM : others > limits.jobsOfVM
            if isBeyond || age > Double(limits.days) * 86_400 { spent.append(job.id) }
        }
        return spent.reversed()
    }

    private struct Seen: Hashable {
        var operation: Operation
        var state: JobState
    }
}

/// Which events are beyond the limits, as one goes through them from the oldest on.
struct EventSelection {
    let now: Timestamp
    let limits: HistoryLimits
    let named: NamedHistory
    /// Number of the newest event of all.
    let newest: Int
    /// Numbers of warnings that stay although newer events would have used the room up.
    private var warnings: [Int] = []

    init(now: Timestamp, limits: HistoryLimits, named: NamedHistory, newest: Int) {
        self.now = now
        self.limits = limits
        self.named = named
        self.newest = newest
    }

    /// Takes the next events in; says which of them go, and whether all that follow stay.
    mutating func take(_ events: [NumberedEvent]) -> (spent: [Int], isThrough: Bool) {
        var spent: [Int] = []
        for event in events {
            if let alerted = named.alerted, event.number > alerted { return (spent, true) }
            let isOld = now.seconds(since: event.event.at) > Double(limits.days) * 86_400
            let isBeyond = event.number <= newest - limits.events
            if !isOld, !isBeyond { return (spent, true) }
            if named.holds(event.event) { continue }
            if isOld || event.event.severity == .info {
                spent.append(event.number)
            } else {
                warnings.append(event.number)
            }
        }
        return (spent, events.isEmpty)
    }

    /// Warnings beyond their own limit.
    var excess: [Int] { Array(warnings.dropLast(limits.warnings)) }
}

extension Array {
    /// The same in parts of so many elements at most.
    func parts(of size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}
