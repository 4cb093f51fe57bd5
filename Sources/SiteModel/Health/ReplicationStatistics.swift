/// What came of a VM's cycles: in the present stretch, and since replication began (reference 7.3).
///
/// One small document for each relationship, written in the transaction that ends a cycle.
package struct ReplicationStatistics: SiteObject {
    package static let kind = "statistics"
    /// The relationship's.
    package var id: String
    package var name: String { "statistics" }
    package var parent: String? { id }

    package var window: MonitoringWindow
    /// When counting in this stretch began: its start, or later where statistics were reset.
    package var since: Timestamp
    package var counts: CycleCounts
    /// Everything since replication began; never reset, so that counters only rise.
    package var totals: CycleCounts

    /// The instant that the newest whole point shows, and when it was known to be whole.
    package var lastSync: Timestamp?
    package var lastArrival: Timestamp?
    /// Until when cycles have been accounted for as made or missed.
    package var accountedUntil: Timestamp?
    /// The newest attempt, where it failed; nil once a point was made.
    package var failure: CycleFailure?
    /// Bytes that wait to be sent, where somebody has looked, and when.
    package var pendingBytes: UInt64?
    package var pendingAt: Timestamp?

    /// What was last told of the VM's health and of its recovery point's age.
    package var toldHealth: ReplicationHealth?
    package var toldAge: AgeAlert?

    package init(relationship: String, window: MonitoringWindow, since: Timestamp) {
        id = relationship
        self.window = window
        self.since = since
        counts = CycleCounts()
        totals = CycleCounts()
    }
}

/// Cycles counted.
package struct CycleCounts: Codable, Hashable, Sendable {
    package var succeeded = 0
    /// Cycles that should have been made and were not: failed, or left out because one before took too long.
    package var missed = 0
    package var networkFailures = 0
    package var replicationFailures = 0
    /// Seconds from the instant that a point shows until it is known to be whole at the target.
    package var latencySum = 0.0
    package var latencyMaximum = 0.0
    package var bytesSum: UInt64 = 0
    package var bytesMaximum: UInt64 = 0

    package init() {}

    package var averageLatency: Double? { succeeded > 0 ? latencySum / Double(succeeded) : nil }
    package var averageBytes: UInt64? { succeeded > 0 ? bytesSum / UInt64(succeeded) : nil }
    /// Of all cycles that there should have been, 0 to 1; nil when there was none.
    package var missedShare: Double? {
        let all = succeeded + missed
        return all > 0 ? Double(missed) / Double(all) : nil
    }

    fileprivate mutating func add(latency: Double, bytes: UInt64) {
        succeeded += 1
        latencySum += latency
        latencyMaximum = max(latencyMaximum, latency)
        bytesSum = bytesSum.addingReportingOverflow(bytes).partialValue
        bytesMaximum = max(bytesMaximum, bytes)
    }

    fileprivate mutating func add(_ cause: CycleFailure.Cause) {
        if cause == .network { networkFailures += 1 } else { replicationFailures += 1 }
    }
}

/// Why cycles fail at present.
package struct CycleFailure: Codable, Hashable, Sendable {
    package enum Cause: String, Codable, Sendable, CaseIterable {
        /// A host does not answer, or the way between the two breaks.
        case network
        /// No space, or a disk that fails.
        case storage
        case other
    }

    package var cause: Cause
    package var message: String
    /// What to do.
    package var hint: String?
    /// When the newest attempt failed.
    package var at: Timestamp
    /// How many attempts in a row.
    package var attempts: Int

    package init(cause: Cause, message: String, hint: String?, at: Timestamp, attempts: Int = 1) {
        self.cause = cause
        self.message = message
        self.hint = hint
        self.at = at
        self.attempts = attempts
    }
}

extension CycleFailure.Cause {
    /// The cause of a kind of fault, in the words of either spelling ("timedOut", "timed-out").
    package static func of(_ kind: String) -> CycleFailure.Cause {
        switch kind.lowercased().filter({ $0 != "-" }) {
        case "unreachable", "disconnected", "timedout", "notauthorized", "protocolviolation": .network
        case "nospace", "noscratch", "io", "damaged": .storage
        default: .other
        }
    }
}

// MARK: Counting

extension ReplicationStatistics {
    /// A point became whole: one cycle was made, and those that it took the place of were missed.
    ///
    /// - Parameters:
    ///   - shown: the instant that the point shows.
    ///   - frequency: seconds between cycles.
    package mutating func notePoint(shown: Timestamp, bytes: UInt64, at now: Timestamp, frequency: Double) {
        if let until = accountedUntil { miss(Self.cycles(from: until, to: shown, frequency) - 1) }
        accountedUntil = max(shown, accountedUntil ?? shown)
        let latency = max(0, now.seconds(since: shown))
        counts.add(latency: latency, bytes: bytes)
        totals.add(latency: latency, bytes: bytes)
        lastSync = max(shown, lastSync ?? shown)
        lastArrival = now
        failure = nil
        pendingBytes = nil
        pendingAt = nil
    }

    /// An attempt failed: the cycles that should have been made until now were missed.
    package mutating func noteFailure(_ failed: CycleFailure, frequency: Double) {
        if let until = accountedUntil {
            let cycles = Self.cycles(from: until, to: failed.at, frequency)
            miss(cycles)
            accountedUntil = until.advanced(bySeconds: Double(cycles) * frequency)
        }
        counts.add(failed.cause)
        totals.add(failed.cause)
        var failed = failed
        failed.attempts = (failure?.attempts ?? 0) + 1
        failure = failed
    }

    /// Cycles are due again from now on: none was missed while replication was held or ran the other way.
    package mutating func resumeCounting(at now: Timestamp) {
        accountedUntil = now
        failure = nil
    }

    /// Cycles missed in this stretch, those included that should have been made by now and nobody has begun.
    ///
    /// The cycle that is due now, or under way, is none of them.
    package func missed(by now: Timestamp, frequency: Double) -> Int {
        guard let until = accountedUntil else { return counts.missed }
        return counts.missed + max(0, Self.cycles(from: until, to: now, frequency) - 1)
    }

    /// Begins a new stretch where the old one is over; returns the old one's figures then.
    package mutating func roll(
        to next: MonitoringWindow, at now: Timestamp, counted frequency: Double?
    ) -> WindowSummary? {
        guard now >= window.end else { return nil }
        if let frequency, let until = accountedUntil {
            let cycles = max(0, Self.cycles(from: until, to: window.end, frequency) - 1)
            miss(cycles)
            accountedUntil = until.advanced(bySeconds: Double(cycles) * frequency)
        }
        let summary = WindowSummary(window: window, since: since, counts: counts)
        window = next
        since = max(next.start, summary.window.end)
        counts = CycleCounts()
        return summary
    }

    /// Forgets what was counted in this stretch.
    package mutating func reset(at now: Timestamp) {
        counts = CycleCounts()
        since = now
        if accountedUntil != nil { accountedUntil = now }
    }

    private mutating func miss(_ cycles: Int) {
        guard cycles > 0 else { return }
        counts.missed += cycles
        totals.missed += cycles
    }

    /// Whole cycles between two instants.
    private static func cycles(from: Timestamp, to: Timestamp, _ frequency: Double) -> Int {
        guard frequency > 0, to > from else { return 0 }
        return Int(to.seconds(since: from) / frequency)
    }
}

/// The figures of a stretch that is over.
package struct WindowSummary: Codable, Hashable, Sendable {
    package var window: MonitoringWindow
    package var since: Timestamp
    package var counts: CycleCounts

    /// One sentence without names.
    package var sentence: String {
        var parts = ["\(counts.succeeded) cycles made", "\(counts.missed) missed"]
        if counts.networkFailures > 0 { parts.append("\(counts.networkFailures) network failures") }
        if counts.replicationFailures > 0 { parts.append("\(counts.replicationFailures) replication failures") }
        if let average = counts.averageLatency {
            parts.append(
                "latency \(Words.seconds(average)) on average, \(Words.seconds(counts.latencyMaximum)) at most")
        }
        if let average = counts.averageBytes {
            parts.append("\(average) bytes on average, \(counts.bytesMaximum) at most")
        }
        return parts.joined(separator: ", ")
    }
}
