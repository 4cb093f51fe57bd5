package import SiteModel
import VaultStore

/// Who drives an open job.
package enum JobStanding: Hashable, Sendable {
    case driven(LeaseHolder)
    /// Stopped before a stage until its plan, or somebody else, lets it go on.
    case held
    /// Nobody: its engine is dead, and was last heard of then.
    case orphaned(heard: Timestamp)

    package var isOrphaned: Bool {
        if case .orphaned = self { return true }
        return false
    }
}

extension RecoveryEngine {
    /// How an open job stands; nil for one that has ended.
    func standing(of job: Job, _ vault: any VaultReader) throws -> JobStanding? {
        guard job.state.isOpen else { return nil }
        if job.isHeld { return .held }
        let (now, lifetime) = (dependencies.clock.now, dependencies.leaseLifetime)
        guard let lease = try vault.lease(Self.leaseName(job.id)) else { return .orphaned(heard: job.startedAt) }
        return lease.expiresAt > now
            ? .driven(LeaseHolder(lease.holder)) : .orphaned(heard: lease.expiresAt.advanced(bySeconds: -lifetime))
    }
}

extension Job {
    /// The command that begins this operation with these options, and so takes the job up when its engine is dead.
    ///
    /// As words after `perilune`; nil where only a script can say it.
    package func command(vm: String) -> [String]? {
        var left = arguments
        /// Values as the command line takes them: times in seconds, sizes in bytes.
        func take(_ options: [(argument: String, option: String, unit: String)]) -> [String] {
            options.flatMap { argument, option, unit in
                left.removeValue(forKey: argument).map { [option, $0 + unit] } ?? []
            }
        }
        let words: [String]
        switch operation {
        case .sync, .pause, .resume, .resync, .commit, .reverse, .unprotect: words = [operation.rawValue, vm]
        case .verify: words = ["verify-vm", vm]
        case .verifyPoint: words = ["verify-vm", vm] + take([("point", "--point", "")])
        case .cancelVerify: words = ["verify-vm", vm, "--cancel"]
        case .pauseResync: words = ["pause", vm]
        case .cancelResync: words = ["resync", vm, "--cancel"]
        case .changePoint:
            words = ["change-point", vm] + take([("point", "--point", ""), ("accept_damage", "--accept-damage", "")])
        case .plannedFailover:
            words = ["failover", vm, "--planned"] + take([("shutdown_limit", "--shutdown-limit", "s")])
        case .unplannedFailover:
            guard let source = left.removeValue(forKey: "source") else { return nil }
            words =
                ["failover", vm, source == "fence" ? "--fence" : "--declared-lost"]
                + take([
                    ("point", "--point", ""), ("shutdown_limit", "--shutdown-limit", "s"),
                    ("accept_damage", "--accept-damage", ""),
                ])
        case .undo:
            let target = left.removeValue(forKey: "target")
            words = ["undo", vm] + (target.map { [$0 == "fence" ? "--fence" : "--declared-lost"] } ?? [])
        case .testFailover:
            // A test that ends with its script is that script's.
            guard left.removeValue(forKey: "keep") == "true" else { return nil }
            words =
                ["test", vm]
                + take([
                    ("point", "--point", ""), ("network", "--network", ""), ("force", "--force", ""),
                    ("within", "--within", "s"), ("scratch", "--scratch", "B"), ("notes", "--notes", ""),
                    ("accept_damage", "--accept-damage", ""),
                ])
        case .cleanUpTest: words = ["clean-up-test", vm] + take([("notes", "--notes", "")])
        case .protect, .startFirstCopy, .importFirstCopy, .cancelFirstCopy: return nil
        }
        return left.isEmpty ? words : nil
    }
}
