import SiteModel
import VaultStore

/// What a VM's next work is, as the vault says it.
struct CyclePlanner {
    let now: Timestamp
    /// Seconds that local time is ahead of UTC.
    let offset: Int
    let policies: [String: Policy]
    /// Site of each host.
    let sites: [String: String]

    /// The VM's next work; nil when nothing is to be done until it is written again.
    func entry(for relationship: Relationship, _ vault: any VaultReader) throws -> CycleQueue.Entry? {
        guard relationship.activeJob == nil else { return nil }
        let policy = policies[relationship.policy]
        let frequency = Double(policy?.copyFrequencySeconds ?? 300)
        let resync = resyncTime(of: relationship, policy).map { (operation: Operation.resync, due: $0) }
        let other = try otherWork(of: relationship, frequency, vault)
        // What was put off to a time begins then, and cycles go on until it is there.
        guard let next = [resync, other].compactMap({ $0 }).min(by: { $0.due < $1.due }) else { return nil }
        return CycleQueue.Entry(
            relationship: relationship.id, name: relationship.name,
            route: CycleRoute(
                source: relationship.source, target: relationship.target,
                sourceSite: sites[relationship.source] ?? relationship.source,
                targetSite: sites[relationship.target] ?? relationship.target),
            operation: next.operation, frequency: frequency, due: next.due)
    }

    private func otherWork(
        of relationship: Relationship, _ frequency: Double, _ vault: any VaultReader
    ) throws -> (operation: Operation, due: Timestamp)? {
        if relationship.state.isCopied {
            let newest = try relationship.newestGeneration.flatMap {
                try vault.object(RecoveryPoint.self, id: $0)?.value.at
            }
            let slot = newest.map { CycleTiming.slot(after: $0, frequency: frequency, id: relationship.id) }
            return (.sync, slot ?? now)
        }
        guard relationship.state == .firstCopyPending, relationship.firstCopy?.method == .scheduled,
            let start = relationship.firstCopy?.startAt
        else { return nil }
        return (.startFirstCopy, start)
    }

    /// When a resync is to begin by itself, at the earliest: the time at which `ResyncSchedule` says so.
    private func resyncTime(of relationship: Relationship, _ policy: Policy?) -> Timestamp? {
        if ResyncSchedule.isDue(relationship, policy, now: now, localOffset: offset) {
            return relationship.resyncAt ?? now
        }
        guard case .allowed = TransitionTable.transition(from: relationship.state, .resync) else { return nil }
        if let at = relationship.resyncAt { return at }
        guard relationship.state == .resyncRequired, policy?.autoResync == .window else { return nil }
        return policy?.resyncWindow.from.next(from: now, offset: offset)
    }
}
