import SiteModel
import VaultStore

/// The part of a vault that is rebuilt around the VMs: what several manifests tell of the same object is told once.
struct RebuiltSite {
    let vault: any VaultWriter

    /// Inserts what a manifest tells and no other has told yet; its hosts are there already.
    func take(in site: SiteRecord) throws {
        try insertMissing(site.policy.map { [$0] } ?? [])
        try insertMissing(site.servers)
        try insertMissing(site.clusters ?? [])
        try insertMissing(site.clouds)
        try insertMissing(site.pair.map { [$0] } ?? [])
        try insertMissing(site.mappings)
        try insertMissing(site.logicalNetworks ?? [])
        try insertMissing(site.vmNetworks ?? [])
        try insertMissing(site.storageClasses ?? [])
        try insertMissing(site.storageMappings ?? [])
        try insertMissing(site.item.map { [$0] } ?? [])
    }

    /// Takes away references to clouds that no manifest told of, because nothing was protected through them.
    func settle() throws {
        let clouds = Set(try vault.objects(Cloud.self).map(\.value.id))
        for var network in try vault.objects(LogicalNetwork.self) {
            let known = network.value.clouds.filter(clouds.contains)
            guard known != network.value.clouds else { continue }
            network.value.clouds = known
            try vault.update(network)
        }
    }

    /// Inserts recovery plans, each as the latest manifest has it; what stands in the way of one is said, a sentence each.
    ///
    /// - Parameter records: with the time of the point that each goes with.
    func restorePlans(_ records: [(at: Timestamp, site: SiteRecord)]) throws -> [String] {
        var latest: [String: RecoveryPlan] = [:]
        for record in records.sorted(by: { $0.at < $1.at }) {
            for plan in record.site.plans ?? [] { latest[plan.id] = plan }
        }
        let names = Set(try vault.objects(ProtectedItem.self).map(\.value.name))
        var lines: [String] = []
        for plan in latest.values.sorted(by: { ($0.name, $0.id) < ($1.name, $1.id) }) {
            guard try vault.object(RecoveryPlan.self, named: plan.name, parent: nil) == nil else {
                lines.append("another plan is named \(plan.name): one of them was left out; import it from its file")
                continue
            }
            try vault.insert(plan)
            let missing = plan.groups.flatMap(\.vms).filter { !names.contains($0) }
            if !missing.isEmpty {
                lines.append(
                    "plan \(plan.name) names \(missing.joined(separator: ", ")), of which no manifest was found: "
                        + "protect them, or take them out of the plan, before it is run")
            }
        }
        return lines
    }

    /// Inserts the alerts that the latest manifest tells of, which knows best whom nobody wanted to be told any more.
    ///
    /// - Parameter records: with the time of the point that each goes with.
    /// - Returns: a sentence for each alert that must be made again, and one that says how old the others are.
    func restoreAlerts(_ records: [(at: Timestamp, site: SiteRecord)]) throws -> [String] {
        guard let latest = records.filter({ $0.site.alerts != nil }).max(by: { $0.at < $1.at })?.site.alerts else {
            return ["alerts were in the vault alone: say again who is told (vault:alert)"]
        }
        var lines: [String] = []
        for alert in latest.sorted(by: { $0.name < $1.name }) {
            guard alert.webhook == nil else {
                lines.append(
                    "alert \(alert.name) was posted to \(alert.destination); its URL was in the vault alone: say it again, "
                        + "vault:alert { name = \"\(alert.name)\", webhook = ... }")
                continue
            }
            try vault.insert(alert)
            try vault.insert(AlertOutbox(rule: alert.id, cursor: try vault.lastEventNumber()))
        }
        return lines + ["alerts are as they were when the newest point was made: see perilune alert list"]
    }

    private func insertMissing<Object: SiteObject>(_ objects: [Object]) throws {
        for object in objects where try vault.object(Object.self, id: object.id) == nil { try vault.insert(object) }
    }
}
