import SiteModel
import VaultStore

/// Something that a replicator does beside cycles, again and again.
///
/// One that takes longer than its interval delays itself and nobody else; one that fails is told of and tried again at its next time.
package struct Duty: Sendable {
    /// Stable word ("watch-health").
    package var name: String
    /// Seconds from one beginning to the next.
    package var interval: Double
    package var act: @Sendable (RecoveryEngine) async throws -> Void

    package init(
        _ name: String, every interval: Double, _ act: @escaping @Sendable (RecoveryEngine) async throws -> Void
    ) {
        self.name = name
        self.interval = max(0.1, interval)
        self.act = act
    }
}

extension Duty {
    /// What every replicator does.
    package static var standard: [Duty] { [watchHealth, cleanUpTests, releaseHeldGuests, pruneHistory] }

    /// Tells of changes of health and of recovery points that grow too old.
    package static var watchHealth: Duty {
        Duty("watch-health", every: 10) { try await $0.watchHealth() }
    }

    /// Cleans up tests past their deadline, and those of runs that have ended or died.
    ///
    /// Each by itself, so that a host that does not answer holds up no other's; what fails is tried at the next time.
    package static var cleanUpTests: Duty {
        Duty("clean-up-tests", every: 10) { engine in
            let due = try await engine.dueTests()
            let failures = await withTaskGroup(of: (any Error)?.self) { group in
                for test in due {
                    group.addTask {
                        do { try await engine.cleanUp(test) } catch { return error }
                        return nil
                    }
                }
                return await group.reduce(into: [any Error]()) { if let error = $1 { $0.append(error) } }
            }
            if let first = failures.first { throw first }
        }
    }

    /// Lets go of guests that an engine held for an instant and could not tell to go on.
    package static var releaseHeldGuests: Duty {
        Duty("release-held-guests", every: 10) { try await $0.releaseHeldGuests() }
    }

    /// Removes jobs and events that are over and beyond the limits.
    package static var pruneHistory: Duty {
        Duty("prune-history", every: HistoryLimits.interval) { try await $0.pruneHistory() }
    }
}

/// Which duties are due.
struct DutyRoster {
    private var next: [Timestamp]
    private var underWay: Set<Int> = []
    let duties: [Duty]

    init(_ duties: [Duty], now: Timestamp) {
        self.duties = duties
        // Not all at the very start: cycles come first.
        next = duties.map { now.advanced(bySeconds: min($0.interval, 1)) }
    }

    mutating func takeDue(now: Timestamp) -> [Int] {
        var due: [Int] = []
        for index in duties.indices where next[index] <= now && !underWay.contains(index) {
            underWay.insert(index)
            next[index] = now.advanced(bySeconds: duties[index].interval)
            due.append(index)
        }
        return due
    }

    mutating func finish(_ index: Int) { underWay.remove(index) }
}
