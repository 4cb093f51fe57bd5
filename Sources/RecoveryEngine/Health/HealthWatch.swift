import SiteModel
import VaultStore

/// Tells of changes of health, and of recovery points that grow too old: each once, and once more when it is over.
///
/// What was told is kept with the statistics, so that several engines tell it once between them.
extension RecoveryEngine {
    /// Looks at every VM, and writes events of what changed since somebody last looked.
    package func watchHealth() async throws {
        let due = try await health().items.filter(Self.hasNews)
        // Few at a time: a lost site changes them all, and others want to write, too.
        for start in stride(from: 0, to: due.count, by: 50) {
            let ids = due[start..<min(start + 50, due.count)].map(\.relationship.id)
            let now = dependencies.clock.now
            let offset = dependencies.localOffset(now)
            try await vault.write { vault in
                let names = HealthNames()
                for id in ids {
                    guard let relationship = try vault.object(Relationship.self, id: id)?.value else { continue }
                    let health = try ItemHealth.read(relationship, names, vault, now: now, offset: offset)
                    guard Self.hasNews(health) else { continue }
                    try Self.tell(health, vault, offset: offset)
                }
            }
        }
    }

    private static func hasNews(_ item: ItemHealth) -> Bool {
        guard let statistics = item.statistics else {
            return item.health != .normal && item.health != .notApplicable || item.ageAlert != nil
        }
        let isNew = statistics.toldHealth == nil && item.health == .normal
        return !isNew && statistics.toldHealth != item.health || statistics.toldAge != item.ageAlert
    }

    private static func tell(_ item: ItemHealth, _ vault: any VaultWriter, offset: Int) throws {
        let accounting = CycleAccounting(
            relationship: item.relationship, vault: vault, now: item.at, offset: offset)
        try accounting.change { statistics, frequency in
            if statistics.toldHealth != item.health {
                if !(statistics.toldHealth == nil && item.health == .normal) {
                    try vault.append(healthEvent(item))
                }
                statistics.toldHealth = item.health
            }
            if statistics.toldAge != item.ageAlert {
                try vault.append(ageEvent(item, before: statistics.toldAge, frequency: frequency))
                statistics.toldAge = item.ageAlert
            }
        }
    }

    private static func healthEvent(_ item: ItemHealth) -> Event {
        let why = item.errors.isEmpty ? "" : ": " + item.errors.map(\.message).joined(separator: " ")
        return Event(
            at: item.at, severity: item.health.severity, object: item.relationship.id,
            text: "health of \(item.name) is \(item.health.rawValue)\(why)", code: "health-\(item.health.rawValue)",
            topic: .vm, causes: item.errors.first?.causes, recommendation: item.errors.first?.recommendation)
    }

    private static func ageEvent(_ item: ItemHealth, before: AgeAlert?, frequency: Double) -> Event {
        let age = item.recoveryPointAge.map(Words.seconds) ?? "unknown"
        guard let alert = item.ageAlert else {
            return Event(
                at: item.at, severity: .info, object: item.relationship.id,
                text: "recovery point of \(item.name) is young again: \(age) old", code: "age-normal", topic: .vm)
        }
        return Event(
            at: item.at, severity: alert.severity, object: item.relationship.id,
            text:
                "recovery point of \(item.name) is \(age) old: more than \(Int(alert.factor)) times the copy frequency of "
                + Words.seconds(frequency), code: "age-\(alert.rawValue)", topic: .vm,
            recommendation: "See that perilune replicate runs, and what the VM's last error is.")
    }
}
