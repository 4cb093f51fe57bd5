package import SiteModel
import VaultStore

/// How replication of one VM stands, with the figures that say so (reference 7.3).
package struct ItemHealth: Sendable {
    package var relationship: Relationship
    /// Name of the cloud that it is protected through; nil for a VM that the hosts replicate by themselves.
    package var cloud: String?
    package var source: String
    package var target: String
    /// Seconds between cycles.
    package var frequency: Double
    package var health: ReplicationHealth
    package var errors: [HealthError]
    /// Seconds, as `HealthFacts.recoveryPointAge` says; nil when there is no recovery point.
    package var recoveryPointAge: Double?
    package var ageAlert: AgeAlert?
    /// The instant that the newest whole point shows.
    package var newestPoint: Timestamp?
    /// Of the stretch under way; missed cycles up to now.
    package var statistics: ReplicationStatistics?
    /// The stretch that is under way.
    package var window: MonitoringWindow
    package var at: Timestamp

    package var name: String { relationship.name }
}

/// How all of a vault's replication stands.
package struct VaultHealth: Sendable {
    package var items: [ItemHealth]
    package var at: Timestamp

    /// The worst of all; not applicable when nothing is replicated.
    package var health: ReplicationHealth { items.map(\.health).max() ?? .notApplicable }

    package func count(_ health: ReplicationHealth) -> Int { items.count { $0.health == health } }

    /// The faults that several VMs may share, with the VMs that each hits: those of hosts and links first, then by severity,
    /// then by the number of VMs (reference 7.1).
    package var causes: [(error: HealthError, vms: [String])] {
        var hit: [String: (error: HealthError, vms: [String])] = [:]
        for item in items {
            for error in item.errors {
                hit["\(error.code)/\(error.level.rawValue)", default: (error, [])].vms.append(item.name)
            }
        }
        func rank(_ cause: (error: HealthError, vms: [String])) -> (Int, Int, Int, String) {
            (
                cause.error.category == .infrastructure || cause.error.code == "cannot-send" ? 0 : 1,
                cause.error.level == .critical ? 0 : 1, -cause.vms.count, cause.error.code
            )
        }
        return hit.values.sorted { rank($0) < rank($1) }
    }
}

extension ItemHealth {
    /// Reads what one VM's health is judged by, and judges it.
    static func read(
        _ relationship: Relationship, _ names: HealthNames, _ vault: any VaultReader, now: Timestamp, offset: Int
    ) throws -> ItemHealth {
        let policy = try names.policy(relationship.policy, vault)
        let newest = try relationship.newestGeneration.flatMap {
            try vault.object(RecoveryPoint.self, id: $0)?.value.at
        }
        var statistics = try vault.object(ReplicationStatistics.self, id: relationship.id)?.value
        let window = MonitoringWindow.containing(now, policy: policy, offset: offset)
        let frequency = Double(policy?.copyFrequencySeconds ?? 300)
        // Nobody may have written since the stretch was over: what is shown is of the one under way.
        _ = statistics?.roll(to: window, at: now, counted: relationship.state.isCopied ? frequency : nil)
        var facts = HealthFacts(
            name: relationship.name, state: relationship.state, now: now, frequency: frequency, newestPoint: newest,
            failedOverAt: relationship.failover?.at, statistics: statistics,
            pausedAt: relationship.pausedAt ?? .source)
        facts.unreplicated = relationship.unreplicated ?? [:]
        facts.applicationTrouble = policy?.applicationConsistentHours == nil ? nil : relationship.applicationTrouble
        let damaged = try vault.objects(RecoveryPoint.self, parent: relationship.id).map(\.value)
            .filter { $0.damage != nil }
        facts.damaged = damaged.map(\.number).sorted()
        facts.newestIsDamaged = damaged.contains { $0.id == relationship.newestGeneration }
        let judgement = HealthJudgement(facts)
        if facts.isCopied, let missed = statistics?.missed(by: now, frequency: frequency) {
            statistics?.counts.missed = missed
        }
        return ItemHealth(
            relationship: relationship, cloud: try names.cloud(of: relationship, vault),
            source: try names.host(relationship.source, vault), target: try names.host(relationship.target, vault),
            frequency: frequency, health: judgement.health, errors: judgement.errors,
            recoveryPointAge: judgement.recoveryPointAge,
            ageAlert: judgement.recoveryPointAge.flatMap { AgeAlert.of(age: $0, frequency: frequency) },
            newestPoint: newest, statistics: statistics, window: window, at: now)
    }
}

/// What many VMs share, read once in a transaction.
final class HealthNames {
    private var policies: [String: Policy?] = [:]
    private var hosts: [String: String] = [:]
    private var clouds: [String: String?] = [:]

    func policy(_ id: String, _ vault: any VaultReader) throws -> Policy? {
        if let known = policies[id] { return known }
        let found = try vault.object(Policy.self, id: id)?.value
        policies[id] = found
        return found
    }

    func host(_ id: String, _ vault: any VaultReader) throws -> String {
        if let known = hosts[id] { return known }
        let found = try vault.object(Host.self, id: id)?.value.name ?? id
        hosts[id] = found
        return found
    }

    func cloud(of relationship: Relationship, _ vault: any VaultReader) throws -> String? {
        guard let item = try relationship.item.flatMap({ try vault.object(ProtectedItem.self, id: $0)?.value }) else {
            return nil
        }
        if let known = clouds[item.cloud] { return known }
        let found = try vault.object(Cloud.self, id: item.cloud)?.value.name
        clouds[item.cloud] = found
        return found
    }
}
