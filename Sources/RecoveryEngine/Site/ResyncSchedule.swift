package import SiteModel
import VaultStore

/// When a resync begins that nobody begins by hand: at a time that was set, or by the policy.
package enum ResyncSchedule {
    /// Whether a resync of this VM is to begin now.
    ///
    /// A time that was set counts before the policy. `localOffset` is how many seconds local time is ahead of UTC.
    package static func isDue(
        _ relationship: Relationship, _ policy: Policy?, now: Timestamp, localOffset: Int
    ) -> Bool {
        guard relationship.activeJob == nil,
            case .allowed = TransitionTable.transition(from: relationship.state, .resync)
        else { return false }
        if let at = relationship.resyncAt { return at <= now }
        // By itself it begins only where it is needed: what somebody paused or what failed waits for a word.
        guard relationship.state == .resyncRequired, let policy else { return false }
        switch policy.autoResync {
        case .off: return false
        case .always: return true
        case .window: return policy.resyncWindow.contains(TimeOfDay.at(now, offset: localOffset))
        }
    }
}

extension RecoveryEngine {
    /// The furthest that a resync may be put off, in seconds: seven days.
    package static let longestResyncDelay = FirstCopyRecord.longestDelay

    /// Sets the time at which the replicator begins a resync, or takes it back when `delay` is nil.
    ///
    /// - Parameter delay: seconds from now, at most seven days.
    /// - Throws: `EngineError`; kind `refused` when a resync may not follow the VM's state at all.
    @discardableResult
    package func scheduleResync(on relationshipID: String, after delay: Double?) async throws -> Relationship {
        let now = dependencies.clock.now
        return try await vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: relationshipID) else {
                throw EngineError(
                    .unknown, "the vault has no relationship \(relationshipID)", hint: "see: perilune status")
            }
            let name = stored.value.name
            if let delay {
                guard delay.isFinite, (0...Self.longestResyncDelay).contains(delay) else {
                    throw EngineError(
                        .invalid, "a resync of \(name) in \(Words.seconds(delay)): it can be put off by 0 s to 7 days",
                        hint: "give a time within 7 days, or begin it now", object: name)
                }
                if case .refused(let rule) = TransitionTable.transition(from: stored.value.state, .resync) {
                    throw EngineError(
                        Refusal(rule: rule, operation: .resync, object: name, state: stored.value.state))
                }
            }
            let at = delay.map { now.advanced(bySeconds: $0) }
            guard stored.value.resyncAt != at else { return stored.value }
            stored.value.resyncAt = at
            try vault.append(
                Event(
                    at: now, severity: .info, object: relationshipID,
                    text: at.map { "a resync of \(name) is set for \($0.utcText)" }
                        ?? "the resync of \(name) that was set is called off",
                    code: "resync-scheduled", topic: .vm))
            return try vault.update(stored).value
        }
    }
}
