import RecoveryEngine
import SiteModel

/// The two forms of health.
enum HealthText {
    static func text(_ health: VaultHealth, details: Bool, width: Int) -> String {
        guard !health.items.isEmpty else { return "no VM is replicated yet" }
        let table = Text.table(
            [["VM", "HEALTH", "RPO", "CYCLES", "MISSED", "LATENCY", "SIZE"]]
                + health.items.map { item in
                    let counts = item.statistics?.counts ?? CycleCounts()
                    return [
                        item.name, item.health.rawValue, age(item), String(counts.succeeded), String(counts.missed),
                        counts.averageLatency.map(Text.duration) ?? "-", counts.averageBytes.map(Text.bytes) ?? "-",
                    ]
                })
        let reasons = health.items.flatMap { item in
            item.errors.flatMap { error in
                Text.wrap("\(item.name): \(error.message)", width: width)
                    + (details ? Text.wrap("  what to do: \(error.recommendation)", width: width) : [])
            }
        }
        return ([table] + reasons + (details ? health.items.map(figures) : [])).joined(separator: "\n")
    }

    /// The age of the newest point's instant, marked where it is more than twice the copy frequency.
    static func age(_ item: ItemHealth) -> String {
        guard let age = item.recoveryPointAge else { return "-" }
        return Text.age(age) + (item.ageAlert == nil ? "" : item.ageAlert == .critical ? " (!!)" : " (!)")
    }

    private static func figures(_ item: ItemHealth) -> String {
        let counts = item.statistics?.counts ?? CycleCounts()
        let pending = item.statistics?.pendingBytes.map(Text.bytes) ?? "not known"
        return Text.table([
            ["stretch", "\(Text.time(item.window.start)) to \(Text.time(item.window.end))"],
            ["newest point", item.newestPoint.map(Text.time) ?? "none"],
            ["waits to be sent", pending],
            ["network failures", String(counts.networkFailures)],
            ["replication failures", String(counts.replicationFailures)],
            ["longest latency", Text.duration(counts.latencyMaximum)],
            ["largest point", Text.bytes(counts.bytesMaximum)],
            ["last test failover", item.relationship.lastTestFailoverAt.map(Text.time) ?? "none"],
        ])
    }

    // MARK: JSON

    private struct Document: Encodable {
        var health: ReplicationHealth
        var at: Timestamp
        var counts: [String: Int]
        var vms: [Item]
    }

    private struct Item: Encodable {
        var vm: String
        var cloud: String?
        var source: String
        var target: String
        var state: String
        var health: ReplicationHealth
        var errors: [HealthError]
        var rpoSeconds: Double?
        var alert: AgeAlert?
        var copyFrequencySeconds: Double
        var newestPointAt: Timestamp?
        var window: MonitoringWindow
        var statistics: CycleCounts
        var pendingBytes: UInt64?
        var lastTestFailoverAt: Timestamp?
    }

    static func json(_ health: VaultHealth) throws -> String {
        try JSON.text(
            Document(
                health: health.health, at: health.at,
                counts: Dictionary(
                    uniqueKeysWithValues: ReplicationHealth.allCases.map { ($0.rawValue, health.count($0)) }),
                vms: health.items.map { item in
                    Item(
                        vm: item.name, cloud: item.cloud, source: item.source, target: item.target,
                        state: item.relationship.state.rawValue, health: item.health, errors: item.errors,
                        rpoSeconds: item.recoveryPointAge, alert: item.ageAlert, copyFrequencySeconds: item.frequency,
                        newestPointAt: item.newestPoint, window: item.window,
                        statistics: item.statistics?.counts ?? CycleCounts(),
                        pendingBytes: item.statistics?.pendingBytes,
                        lastTestFailoverAt: item.relationship.lastTestFailoverAt)
                }))
    }
}
