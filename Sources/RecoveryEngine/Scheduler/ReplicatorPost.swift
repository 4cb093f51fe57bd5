package import SiteModel
import VaultStore

/// The place of a vault's one replicator: a lease, held while it works.
///
/// Two replicators would do no harm to points, whose jobs have leases of their own, but each would begin the other's cycles:
/// hosts would be worked twice as hard as their limits say, and every alert and figure would come twice.
package struct ReplicatorPost: Sendable {
    static let leaseName = "replicator"
    /// Seconds between two looks at another's lease.
    private static let pause = 0.5

    let engine: RecoveryEngine

    package init(engine: RecoveryEngine) { self.engine = engine }

    private var dependencies: EngineDependencies { engine.dependencies }

    /// Does the work of the vault's replicator while nobody else does.
    ///
    /// Where another one has the post, it is watched: one whose process died lets the lease run out, and is succeeded.
    ///
    /// - Parameters:
    ///   - waiting: whether to wait until another one that lives has stopped.
    ///   - onWait: told once who is waited for.
    /// - Throws: `EngineError` of kind `busy` when another one lives and `waiting` is false; of kind `leaseLost` when another
    ///   one has taken over because this process stood still for too long.
    package func hold(
        waiting: Bool = false, onWait: @Sendable (ReplicatorStanding) -> Void = { _ in },
        _ work: @escaping @Sendable () async throws -> Void
    ) async throws {
        let lease = KeptLease(try await take(waiting: waiting, onWait: onWait), dependencies: dependencies)
        do {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    try await work()
                    return true
                }
                group.addTask {
                    await lease.renewUntilCancelled()
                    return false
                }
                let isThrough = try await group.next() ?? true
                group.cancelAll()
                guard isThrough || Task.isCancelled else { throw await succeeded() }
                // The work that a cancellation ends says how it ended.
                if !isThrough { _ = try await group.next() }
            }
        } catch {
            await leave(lease)
            throw error
        }
        await leave(lease)
    }

    private func take(
        waiting: Bool, onWait: @Sendable (ReplicatorStanding) -> Void
    ) async throws -> Lease {
        var seen: Timestamp?
        while true {
            do {
                return try await take()
            } catch let error as VaultError where error.code == .leaseHeld {
                let standing = try await engine.replicatorStanding()
                guard case .runs(_, _, let heard) = standing else { continue }
                if seen == nil { onWait(standing) }
                // A sign of life after we came: it is no dead one's last.
                if let seen, heard > seen, !waiting { throw taken(standing) }
                seen = seen ?? heard
                try await dependencies.clock.sleep(seconds: Self.pause)
            }
        }
    }

    private func take() async throws -> Lease {
        let (holder, lifetime, now) = (dependencies.holder, dependencies.leaseLifetime, dependencies.clock.now)
        let id = dependencies.identifiers.next()
        return try await engine.vault.write { vault in
            let lease = try vault.acquireLease(Self.leaseName, holder: holder, now: now, lifetime: lifetime)
            if var present = try vault.objects(ReplicatorRecord.self).first {
                present.value.holder = holder
                present.value.startedAt = now
                present.value.stoppedAt = nil
                try vault.update(present)
            } else {
                try vault.insert(ReplicatorRecord(id: id, holder: holder, startedAt: now))
            }
            return lease
        }
    }

    /// What cannot be written here is told by the lease that runs out.
    private func leave(_ held: KeptLease) async {
        let (lease, now) = (await held.lease, dependencies.clock.now)
        try? await engine.vault.write { vault in
            guard var present = try vault.objects(ReplicatorRecord.self).first, present.value.holder == lease.holder
            else { return }
            present.value.stoppedAt = now
            try vault.update(present)
            try vault.release(lease)
        }
    }

    private func taken(_ standing: ReplicatorStanding) -> EngineError {
        EngineError(
            .busy, "this vault has its replicator: \(standing.words(now: dependencies.clock.now))",
            hint: "one is enough; stop that one first, or say --wait to follow it when it ends")
    }

    private func succeeded() async -> EngineError {
        let words =
            (try? await engine.replicatorStanding())?.words(now: dependencies.clock.now) ?? "it is not known which"
        return EngineError(
            .leaseLost, "another replicator has this vault now: \(words)",
            hint:
                "this process stood still for more than \(Int(dependencies.leaseLifetime)) s; start it again with --wait"
        )
    }
}

/// Whether a vault has its replicator.
package enum ReplicatorStanding: Hashable, Sendable {
    /// None ever ran.
    case never
    case runs(LeaseHolder, since: Timestamp, heard: Timestamp)
    /// Stopped by its operator.
    case stopped(LeaseHolder, at: Timestamp)
    /// Ended without a word; last heard of at that time.
    case died(LeaseHolder, heard: Timestamp)

    package var isRunning: Bool {
        if case .runs = self { return true }
        return false
    }

    package func words(now: Timestamp) -> String {
        func ago(_ time: Timestamp) -> String { "\(Words.seconds(now.seconds(since: time))) ago" }
        return switch self {
        case .never: "none has run yet"
        case .runs(let holder, let since, let heard):
            "\(holder.words) since \(since.utcText), last heard of \(ago(heard))"
        case .stopped(let holder, let at): "\(holder.words) was stopped \(ago(at))"
        case .died(let holder, let heard): "\(holder.words) died: it was last heard of \(ago(heard))"
        }
    }
}

extension RecoveryEngine {
    /// Whether `perilune replicate` runs for this vault, and who that is.
    package func replicatorStanding() async throws -> ReplicatorStanding {
        let (now, lifetime) = (dependencies.clock.now, dependencies.leaseLifetime)
        return try await vault.read { vault in
            guard let record = try vault.objects(ReplicatorRecord.self).first?.value else { return .never }
            let holder = LeaseHolder(record.holder)
            if let stoppedAt = record.stoppedAt { return .stopped(holder, at: stoppedAt) }
            guard let lease = try vault.lease(ReplicatorPost.leaseName) else {
                return .died(holder, heard: record.startedAt)
            }
            let heard = lease.expiresAt.advanced(bySeconds: -lifetime)
            return lease.expiresAt > now
                ? .runs(holder, since: record.startedAt, heard: heard) : .died(holder, heard: heard)
        }
    }
}
