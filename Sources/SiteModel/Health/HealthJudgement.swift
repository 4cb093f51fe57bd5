/// How replication of a VM stands, and why.
package struct HealthJudgement: Hashable, Sendable {
    package var health: ReplicationHealth
    /// Each a sentence with what to do, the worst first; empty when health is normal.
    package var errors: [HealthError]
    /// Seconds; see `HealthFacts.recoveryPointAge`.
    package var recoveryPointAge: Double?

    /// Applies the thresholds of the reference, 7.2.
    package init(_ facts: HealthFacts) {
        recoveryPointAge = facts.state == .unprotected ? nil : facts.recoveryPointAge
        guard facts.state != .unprotected else {
            (health, errors) = (.notApplicable, [])
            return
        }
        let found = HealthThreshold.all.compactMap { $0.finding(facts) }
        errors = found.filter { $0.level == .critical } + found.filter { $0.level == .warning }
        health = found.map(\.level).contains(.critical) ? .critical : found.isEmpty ? .normal : .warning
    }
}

/// One of the conditions under which health is not normal.
package struct HealthThreshold: Sendable {
    /// More than this share of cycles missed is a warning.
    package static let missedShare = 0.2
    /// Seconds since the last sync from which on it is a warning.
    package static let longestSilence = 3600.0
    /// Seconds of average latency above which it is a warning.
    package static let longestLatency = 300.0

    let code: String
    let level: HealthError.Level
    let category: HealthError.Category
    let causes: [String]
    let recommendation: String
    /// What is wrong, as a sentence; nil when the condition does not hold.
    let sentence: @Sendable (HealthFacts) -> String?

    func finding(_ facts: HealthFacts) -> HealthError? {
        sentence(facts).map { sentence in
            let own = code == "cannot-send" ? facts.statistics?.failure?.hint : nil
            return HealthError(
                code: code, level: level, category: category, message: sentence, causes: causes,
                recommendation: own ?? recommendation, at: facts.now, object: facts.statistics?.id)
        }
    }

    static let all: [HealthThreshold] = [
        cannotSend, stopped, resyncRequired, pausedAtTarget, newestDamaged, missedCycles, silence, latency, firstCopy,
        notReversed, pausedAtSource, diskMissing, notApplicationConsistent, olderDamaged,
    ]
}

// MARK: Critical

extension HealthThreshold {
    static let cannotSend = HealthThreshold(
        code: "cannot-send", level: .critical, category: .replication,
        causes: ["a host or its agent is down", "the network between the hosts is cut", "the target's store is full"],
        recommendation: "See what the message names; perilune doctor checks both hosts and the way between them."
    ) { facts in
        guard facts.isCopied || facts.state == .error, let failure = facts.statistics?.failure else { return nil }
        let times = failure.attempts == 1 ? "The last attempt" : "The last \(failure.attempts) attempts"
        return "\(times) to send a recovery point of \(facts.name) failed: \(failure.message)"
    }

    static let stopped = HealthThreshold(
        code: "replication-stopped", level: .critical, category: .replication, causes: [],
        recommendation: "Mend what the last error names, then resume replication."
    ) { facts in
        guard facts.state == .error, facts.statistics?.failure == nil else { return nil }
        return "Replication of \(facts.name) was stopped by a failure."
    }

    static let resyncRequired = HealthThreshold(
        code: "resync-required", level: .critical, category: .replication,
        causes: ["the two sides were found to differ", "the change map was lost"],
        recommendation: "Start a resync, or let the policy do so by itself; let one that is under way come to its end."
    ) { facts in
        switch facts.state {
        case .resyncRequired: "\(facts.name) must be compared anew before replication can go on."
        case .resynchronizing: "\(facts.name) is being compared anew; until that is done no new point is made."
        case .resyncPaused: "The comparing anew of \(facts.name) is held; until it is done no new point is made."
        default: nil
        }
    }

    static let newestDamaged = HealthThreshold(
        code: "newest-point-damaged", level: .critical, category: .replication, causes: damageCauses,
        recommendation: "Verify the VM: what is wrong is sent again, as a new point. Look at the target's disks."
    ) { facts in
        guard facts.newestIsDamaged else { return nil }
        return "The newest recovery point of \(facts.name) is damaged (point \(facts.damaged.last ?? 0))."
    }

    private static let damageCauses = [
        "the target's storage has changed or lost blocks", "something else wrote to the point's files",
        "a change at the source was missed",
    ]

    static let olderDamaged = HealthThreshold(
        code: "points-damaged", level: .warning, category: .replication, causes: damageCauses,
        recommendation: "Newer points are whole. Look at the target's disks; the damaged points go as new ones come."
    ) { facts in
        guard !facts.newestIsDamaged, !facts.damaged.isEmpty else { return nil }
        return
            "Recovery points of \(facts.name) are damaged: \(facts.damaged.map(String.init).joined(separator: ", "))."
    }

    static let pausedAtTarget = HealthThreshold(
        code: "paused-at-target", level: .critical, category: .replication, causes: ["somebody paused it there"],
        recommendation: "Resume replication."
    ) { facts in
        guard facts.state == .paused, facts.pausedAt == .target else { return nil }
        return "Replication of \(facts.name) is paused at the target."
    }
}

// MARK: Warnings

extension HealthThreshold {
    static let diskMissing = HealthThreshold(
        code: "disk-not-replicated", level: .warning, category: .replication,
        causes: ["a disk was added to the VM", "a disk was moved to where it cannot be replicated"],
        recommendation:
            "Let a cycle take it in, or leave it out by name: until then a failover brings the VM up without it."
    ) { facts in
        guard facts.state != .unprotected, !facts.unreplicated.isEmpty else { return nil }
        return facts.unreplicated.sorted { $0.key < $1.key }.map { disk, reason in
            "Disk \(disk) of \(facts.name) is not replicated: \(reason)."
        }.joined(separator: " ")
    }

    static let missedCycles = HealthThreshold(
        code: "cycles-missed", level: .warning, category: .replication,
        causes: ["cycles take longer than the copy frequency", "attempts failed", "no engine replicates"],
        recommendation: "Give the link more room or copy less often; perilune replicate must be running."
    ) { facts in
        guard let statistics = facts.statistics else { return nil }
        var counts = statistics.counts
        if facts.isCopied { counts.missed = statistics.missed(by: facts.now, frequency: facts.frequency) }
        guard let share = counts.missedShare, share > missedShare else { return nil }
        return "\(Words.percent(share)) of the cycles of \(facts.name) were missed in this stretch "
            + "(\(counts.missed) of \(counts.succeeded + counts.missed)); \(Words.percent(missedShare)) are allowed."
    }

    static let silence = HealthThreshold(
        code: "out-of-date", level: .warning, category: .replication,
        causes: ["no engine replicates", "every attempt fails", "a cycle takes that long"],
        recommendation: "See that perilune replicate runs, and what its last error is."
    ) { facts in
        guard facts.isCopied, let newest = facts.newestPoint else { return nil }
        let age = facts.now.seconds(since: newest)
        guard age >= longestSilence else { return nil }
        return "The newest recovery point of \(facts.name) shows how it was \(Words.seconds(age)) ago; "
            + "under \(Words.seconds(longestSilence)) is normal."
    }

    static let latency = HealthThreshold(
        code: "slow", level: .warning, category: .replication,
        causes: ["the link is too narrow for what the VM writes", "the target's store is slow"],
        recommendation: "Give the link more room, or find what writes so much in the guest."
    ) { facts in
        guard let average = facts.statistics?.counts.averageLatency, average > longestLatency else { return nil }
        return "Recovery points of \(facts.name) are whole \(Words.seconds(average)) after their instant on average; "
            + "up to \(Words.seconds(longestLatency)) is normal."
    }

    static let firstCopy = HealthThreshold(
        code: "first-copy-incomplete", level: .warning, category: .replication, causes: [],
        recommendation: "Let the first copy come to its end: until then there is nothing to fail over to."
    ) { facts in
        switch facts.state {
        case .firstCopyPending: "The first copy of \(facts.name) was not made yet."
        case .firstCopy: "The first copy of \(facts.name) is under way."
        default: nil
        }
    }

    static let notReversed = HealthThreshold(
        code: "not-reversed", level: .warning, category: .replication, causes: ["a failover was not followed up"],
        recommendation: "Commit the failover and reverse replication: until then the VM is not protected."
    ) { facts in
        switch facts.state {
        case .failingOver, .failingOverPlanned: "A failover of \(facts.name) is under way."
        case .failedOver, .committed: "\(facts.name) was failed over, and is not replicated back yet."
        case .reversing: "Replication of \(facts.name) is being reversed; its first point is not whole yet."
        default: nil
        }
    }

    static let pausedAtSource = HealthThreshold(
        code: "paused", level: .warning, category: .replication, causes: ["somebody paused it"],
        recommendation: "Resume replication."
    ) { facts in
        guard facts.state == .paused, facts.pausedAt == .source else { return nil }
        return "Replication of \(facts.name) is paused."
    }

    static let notApplicationConsistent = HealthThreshold(
        code: "not-application-consistent", level: .warning, category: .replication,
        causes: ["no guest agent runs in the guest", "the guest is too busy to answer its agent"],
        recommendation: "See that qemu-guest-agent runs in the guest, or turn app_consistent off in its policy."
    ) { facts in
        guard facts.isCopied, let trouble = facts.applicationTrouble else { return nil }
        return
            "Recovery points of \(facts.name) are crash-consistent where they were to be application-consistent: \(trouble)."
    }
}
