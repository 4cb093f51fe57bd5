package import BlockReplication
import SiteModel
package import VaultStore

/// Makes a vault anew from the manifests beside the points: for the day when every copy of the vault is lost.
///
/// Ownership is what the hosts recorded of it, wherever that says more than the manifests. What cannot be known is said, not
/// guessed: jobs, events, test VMs, and whatever has made no point yet.
package struct VaultRebuild: Sendable {
    /// A manifest, and the host's own record of ownership beside it.
    package struct Find: Sendable {
        package var store: String
        package var manifest: Manifest
        package var record: OwnershipRecord?

        package init(store: String, manifest: Manifest, record: OwnershipRecord?) {
            self.store = store
            self.manifest = manifest
            self.record = record
        }
    }

    package struct Report: Sendable, Hashable {
        /// VMs that the vault knows again, by name.
        package var restored: [String] = []
        package var hosts: [String] = []
        package var points = 0
        /// What could not be known, a sentence each.
        package var unknown: [String] = []
    }

    let clock: any EngineClock
    let identifiers: any IdentifierSource
    let place: String

    /// - Parameter place: where the new vault lies, `MACHINE:PATH`.
    package init(clock: any EngineClock, identifiers: any IdentifierSource, place: String) {
        self.clock = clock
        self.identifiers = identifiers
        self.place = place
    }

    /// Reads every manifest below these stores; one that cannot be read is told of and passed over.
    package static func read(stores: [String]) throws -> (finds: [Find], troubles: [String]) {
        var (finds, troubles): ([Find], [String]) = ([], [])
        for store in stores {
            let root = "\(store)/points"
            let records = OwnershipRecords(reading: store, runtime: store)
            let ids = try PointStore.relationships(root: root)
            if ids.isEmpty { troubles.append("\(store) holds no manifest") }
            for id in ids {
                do {
                    let manifest = try PointStore.readManifest(root: root, relationship: id)
                    if let released = manifest.releasedAt {
                        troubles.append(
                            "\(manifest.vmName): it has not been protected since \(released.utcText); the points in "
                                + "\(root)/\(id) were given up and are left out")
                        continue
                    }
                    finds.append(Find(store: store, manifest: manifest, record: try? records.read(id)))
                } catch let error as ReplicationError {
                    troubles.append("\(root)/\(id): \(error.message)")
                }
            }
        }
        return (finds, troubles)
    }

    /// Writes what was found into a vault that has nothing in it yet, in one transaction.
    ///
    /// - Parameter standings: the vaults that hosts have heard of. The new vault goes on as the one that wrote the records, as if
    ///   a copy of it were promoted: hosts refuse any copy of that which turns up again.
    package func rebuild(
        from finds: [Find], standings: [VaultStanding] = [], into vault: any Vault
    ) async throws -> Report {
        let now = clock.now
        let mark = PromotionMark(id: identifiers.next(), place: place, at: now)
        return try await vault.write { vault in
            guard try vault.objects(Relationship.self).isEmpty, try vault.objects(Host.self).isEmpty else {
                throw EngineError(
                    .invalid, "the vault to rebuild into is not empty",
                    hint: "name a file that does not exist: a vault that works is never written over")
            }
            var report = Report()
            for (_, group) in Dictionary(grouping: finds, by: \.manifest.relationship).sorted(by: { $0.key < $1.key }) {
                try Self.restore(group, into: vault, &report)
            }
            try RebuiltSite(vault: vault).settle()
            let records = finds.compactMap { find in
                SiteRecord(text: find.manifest.context).map {
                    (at: find.manifest.newest?.time ?? Timestamp(milliseconds: 0), site: $0)
                }
            }
            report.unknown += try RebuiltSite(vault: vault).restorePlans(records)
            report.unknown += try RebuiltSite(vault: vault).restoreAlerts(records)
            if let heir = Self.heir(finds.compactMap { $0.record?.vault }, standings, mark) {
                if let own = try vault.object(VaultIdentity.self, named: VaultIdentity.onlyName, parent: nil) {
                    try vault.delete(own)
                }
                try vault.insert(heir)
            }
            report.unknown.append("jobs, runs, events and test VMs were in the vault alone: they are lost")
            report.unknown.append(
                "recovery plans are as they were when a point of one of their VMs was last made, and what was never part of "
                    + "one is lost: compare them with their files")
            try vault.append(
                Event(
                    at: now, severity: .warning, object: nil,
                    text: "the vault was rebuilt from \(finds.count) manifests: \(report.restored.count) VMs"))
            return report
        }
    }

    /// The vault that wrote the hosts' records, one promotion further; nil when it is not known which that was.
    private static func heir(
        _ named: [VaultStanding], _ heard: [VaultStanding], _ mark: PromotionMark
    ) -> VaultIdentity? {
        let counts = Dictionary(named.map { ($0.id, 1) }, uniquingKeysWith: +)
        let only = Set(heard.map(\.id)).count == 1 ? heard.first?.id : nil
        guard let id = counts.max(by: { ($0.value, $1.key) < ($1.value, $0.key) })?.key ?? only else { return nil }
        let all = (named + heard).filter { $0.id == id }
        var identity = VaultIdentity(id: id, epoch: all.map(\.epoch).max() ?? 1)
        identity.heirTo = Set(all.flatMap { ($0.heirTo ?? []) + [$0.promotion?.id].compactMap { $0 } }).sorted()
        identity.promote(as: mark)
        return identity
    }

    private static func restore(_ group: [Find], into vault: any VaultWriter, _ report: inout Report) throws {
        guard let best = group.max(by: { rank($0) < rank($1) }) else { return }
        let name = best.manifest.vmName
        guard let site = SiteRecord(text: best.manifest.context) else {
            return report.unknown.append(
                "\(name): its manifest in \(best.store) was written by an older version and does not say which hosts, "
                    + "policy and networks it had; protect it anew, its points stay where they are")
        }
        for host in site.hosts {
            if try vault.object(Host.self, id: host.id) == nil {
                try vault.insert(host)
                report.hosts.append(host.name)
            }
        }
        for missing in [site.relationship.source, site.relationship.target] where site.host(missing) == nil {
            report.unknown.append("\(name): host \(missing) is not described in its manifest")
        }
        try RebuiltSite(vault: vault).take(in: site)
        let relationship = try relationship(site, best, group, &report)
        guard try vault.object(Relationship.self, named: relationship.name, parent: nil) == nil else {
            return report.unknown.append("\(name) has another relationship, \(relationship.id), which was left out")
        }
        try vault.insert(relationship)
        let holder = relationship.target
        for point in best.manifest.points {
            try vault.insert(
                RecoveryPoint(
                    id: point.generation, number: point.number, relationship: relationship.id, previous: point.parent,
                    cause: point.kind, at: point.time, host: holder, bytes: point.disks.reduce(0) { $0 + $1.bytes }))
            report.points += 1
        }
        report.restored.append(name)
    }

    /// The find that counts: the latest ownership, then the newest point.
    private static func rank(_ find: Find) -> (Int, Int64) {
        (epoch(find), find.manifest.newest?.time.milliseconds ?? -1)
    }

    private static func epoch(_ find: Find) -> Int { max(find.manifest.epoch, find.record?.epoch ?? 0) }

    /// The relationship as it was at its newest point, brought to the ownership that the hosts recorded since.
    private static func relationship(
        _ site: SiteRecord, _ best: Find, _ group: [Find], _ report: inout Report
    ) throws -> Relationship {
        var relationship = site.relationship
        let manifest = best.manifest
        (relationship.test, relationship.lastError, relationship.formerCopy) = (nil, nil, nil)
        relationship.growing = nil
        relationship.state = .protected
        relationship.newestGeneration = manifest.newest?.generation
        relationship.lastPointNumber = max(relationship.lastPointNumber, manifest.nextNumber - 1)
        let record = group.compactMap(\.record).max { $0.epoch < $1.epoch }
        let epoch = group.map(epoch).max() ?? relationship.epoch
        guard epoch > relationship.epoch else {
            // The newest cycle's checkpoint was set after this was written: both sides are compared once.
            relationship.checkpoint = nil
            return relationship
        }
        let owner = record.flatMap { $0.epoch == epoch ? $0.owner : nil } ?? manifest.owner
        relationship.epoch = epoch
        relationship.owner = owner
        let boot = manifest.boots.last { $0.purpose == .failover }
        guard owner == relationship.target, let boot else {
            report.unknown.append(
                "\(relationship.name): its ownership went on to epoch \(epoch) after its newest point, and how is not "
                    + "known; look at both hosts before anything is done with it")
            relationship.checkpoint = nil
            return relationship
        }
        let told = record?.origin?.failover
        relationship.failover = FailoverRecord(
            planned: told?.planned ?? false, generation: boot.generation,
            sourceVerdict: record?.claim?.verdict ?? told?.sourceVerdict ?? .unknown,
            at: record?.claim?.at ?? told?.at ?? manifest.newest?.time ?? Timestamp(milliseconds: 0),
            sourceCheckpoint: nil)
        relationship.state = .failedOver
        relationship.checkpoint =
            if let claim = record?.claim { claim.checkpoint } else { CheckpointName.of(generation: "boot-\(epoch)") }
        for disk in boot.disks {
            guard let index = relationship.disks.firstIndex(where: { $0.target == disk.target }),
                let host = site.host(owner)
            else { continue }
            relationship.disks[index].images[owner] = DiskImage(
                path: "\(host.store)/points/\(relationship.id)/\(disk.file)", format: "qcow2")
        }
        report.unknown.append(
            "\(relationship.name): failed over at epoch \(epoch); whether that was committed is not known: commit it again"
        )
        return relationship
    }
}
