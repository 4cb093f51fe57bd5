import BlockReplication
package import Hypervisors
package import SiteModel
import VaultStore

/// Beginning replication of a VM, through a cloud or by the hosts alone.
extension RecoveryEngine {
    /// Protects a VM of a paired cloud: creates its item and relationship and makes the first copy, or leaves that outstanding
    /// where it is scheduled or carried.
    @discardableResult
    package func protect(
        vm name: String, in cloud: Cloud, options: ProtectOptions = ProtectOptions(), run: RunStep? = nil
    ) async throws -> ProtectedItem {
        do { return try await beginProtection(of: name, in: cloud, options, run) } catch {
            throw EngineError.translating(error, doing: "protect of \(name)", object: name) ?? error
        }
    }

    private func beginProtection(
        of name: String, in cloud: Cloud, _ options: ProtectOptions, _ run: RunStep?
    ) async throws -> ProtectedItem {
        let pair = try await vault.read { vault in
            try vault.objects(CloudPair.self).map(\.value).first { $0.primary == cloud.id }
        }
        guard let pair else { throw Self.refused(RuleBook.pairRequired, cloud.name) }
        let (server, sourceHosts, policy, existing) = try await vault.read { vault in
            (
                try vault.object(Server.self, id: cloud.server)?.value,
                try vault.hostIDs(of: cloud),
                try vault.object(Policy.self, id: pair.policy)?.value,
                try vault.object(ProtectedItem.self, named: name, parent: cloud.id)?.value
            )
        }
        if server?.managementVM == name { throw Self.refused(RuleBook.managementVMOutsideClouds, name) }
        guard let policy else { throw Self.refused(RuleBook.policyRequired, name) }
        let firstCopy = try plannedFirstCopy(of: name, options, policy)
        if let existing {
            try await protectAgain(existing, options, firstCopy)
            try await perform(.protect, on: existing.relationship, run: run)
            return existing
        }
        if let onboarded = try await onboard(name, in: cloud, pair, run: run) { return onboarded }
        let (domain, source) = try await find(vm: name, on: sourceHosts, where: "cloud \(cloud.name)")
        try await checkReplicable(domain, at: source)
        let (disks, excluded) = try replicatedDisks(of: domain, at: source, options)
        let target = try await place(domain, disks: disks.map(\.target), from: source, pair)
        let itemID = dependencies.identifiers.next()
        var relationship = Relationship(
            id: dependencies.identifiers.next(), name: domain.name, vmUUID: domain.uuid, source: source,
            target: target, policy: pair.policy, disks: disks)
        relationship.item = itemID
        relationship.excludedDisks = excluded.isEmpty ? nil : excluded
        relationship.firstCopy = firstCopy
        let item = ProtectedItem(
            id: itemID, name: name, cloud: cloud.id, pair: pair.id, relationship: relationship.id)
        // Before anything is written: what a rule forbids leaves no item behind.
        try await check(.protect, on: relationship, item: item)
        try await insert(relationship, item)
        try await perform(.protect, on: relationship.id, run: run)
        return item
    }

    private func plannedFirstCopy(
        of name: String, _ options: ProtectOptions, _ policy: Policy
    ) throws -> FirstCopyRecord {
        let now = dependencies.clock.now
        do {
            return try FirstCopyRecord(options, policy, now: now, localOffset: dependencies.localOffset(now))
        } catch {
            throw EngineError(
                .invalid, "protect of '\(name)': \(error.sentence)", hint: "change \(error.field); nothing was changed",
                object: name)
        }
    }

    /// An item that was unprotected is protected with what is asked for now.
    private func protectAgain(
        _ item: ProtectedItem, _ options: ProtectOptions, _ firstCopy: FirstCopyRecord
    ) async throws {
        let relationship = try await relationship(item.relationship)
        guard relationship.state == .unprotected, relationship.activeJob == nil else { return }
        try await check(.protect, on: relationship, item: item)
        var chosen: (disks: [ReplicatedDisk], excluded: [String])?
        // Without a word about disks the choice of last time holds, if the VM still has those disks.
        let again =
            options.disks != nil || options.exclude != nil
            ? options : ProtectOptions(exclude: relationship.excludedDisks)
        if let hypervisor = try await hosts.reachableHypervisor(relationship.source),
            let domain = try await hypervisor.domain(uuid: relationship.vmUUID)
        {
            chosen = try replicatedDisks(of: domain, at: relationship.source, again)
        }
        let selection = chosen
        try await vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: item.relationship),
                stored.value.state == .unprotected, stored.value.activeJob == nil
            else { return }
            let before = stored.value
            stored.value.firstCopy = firstCopy
            // Disks that were grown meanwhile are other disks: no point of theirs is left.
            if let selection, Self.shape(selection.disks) != Self.shape(before.disks) {
                stored.value.disks = selection.disks
            }
            if let selection { stored.value.excludedDisks = selection.excluded.isEmpty ? nil : selection.excluded }
            if stored.value != before { try vault.update(stored) }
        }
    }

    private static func shape(_ disks: [ReplicatedDisk]) -> [String: UInt64] {
        Dictionary(disks.map { ($0.target, $0.size) }, uniquingKeysWith: { first, _ in first })
    }

    /// Replicates a VM from one host to another below the vault's clouds: how a management server's own VM is replicated.
    @discardableResult
    package func replicate(
        vm name: String, from source: Host, to target: Host, policy: Policy, networks: [String: String],
        options: ProtectOptions = ProtectOptions(), run: RunStep? = nil
    ) async throws -> Relationship {
        do {
            return try await beginReplication(of: name, from: source, to: target, policy, networks, options, run)
        } catch {
            throw EngineError.translating(error, doing: "replication of \(name)", object: name) ?? error
        }
    }

    private func beginReplication(
        of name: String, from source: Host, to target: Host, _ policy: Policy, _ networks: [String: String],
        _ options: ProtectOptions, _ run: RunStep?
    ) async throws -> Relationship {
        guard source.id != target.id else {
            throw EngineError(
                .invalid, "\(name) cannot be replicated to the host it runs on",
                hint: "name a host at another site", object: name)
        }
        if let existing = try await vault.read({ try $0.object(Relationship.self, named: name, parent: nil)?.value }) {
            try await perform(.protect, on: existing.id, run: run)
            return try await self.relationship(existing.id)
        }
        let (domain, _) = try await find(vm: name, on: [source.id], where: "host \(source.name)")
        try await checkReplicable(domain, at: source.id)
        let (disks, excluded) = try replicatedDisks(of: domain, at: source.id, options)
        var relationship = Relationship(
            id: dependencies.identifiers.next(), name: domain.name, vmUUID: domain.uuid, source: source.id,
            target: target.id, policy: policy.id, disks: disks)
        relationship.networks = networks
        relationship.excludedDisks = excluded.isEmpty ? nil : excluded
        relationship.firstCopy = try plannedFirstCopy(of: name, options, policy)
        try await check(.protect, on: relationship, item: nil)
        try await insert(relationship, nil)
        try await perform(.protect, on: relationship.id, run: run)
        return try await self.relationship(relationship.id)
    }

    /// The VM of that name on the first of these hosts that knows it; unknown names come with the nearest one.
    package func find(vm name: String, on hostIDs: [String], where place: String) async throws -> (Domain, String) {
        var known: [String] = []
        // A test VM is nobody's to protect: it lives outside every cloud.
        let tests = try await vault.read { vault in
            Set(try vault.objects(Relationship.self).compactMap { $0.value.test?.vmUUID })
        }
        var found: [(domain: Domain, host: String)] = []
        for id in hostIDs {
            let domains = try await hosts.hypervisor(id).domains().filter { !tests.contains($0.uuid) }
            found += domains.filter { $0.name == name }.map { ($0, id) }
            known += domains.map(\.name)
        }
        // The same VM may be defined at two hosts of a cluster; two VMs of one name cannot be told apart.
        guard Set(found.map(\.domain.uuid)).count < 2 else {
            let all = try await vault.read { try $0.objects(Host.self).map(\.value) }
            let places = found.map { entry in
                "\(entry.domain.uuid) at \(all.first { $0.id == entry.host }?.name ?? entry.host)"
            }
            throw EngineError(
                .invalid, "\(place) has \(found.count) VMs '\(name)': \(places.joined(separator: ", "))",
                hint: "rename all but one (virsh domrename): VMs are told apart by their names", object: name)
        }
        if let first = found.first(where: { $0.domain.power.isActive }) ?? found.first {
            return (first.domain, first.host)
        }
        let nearest = Nearest.suggestion(for: name, among: known)
        throw EngineError(
            .unknown, "\(place) has no VM '\(name)'",
            hint: nearest.map { "did you mean '\($0)'?" } ?? "it has: \(known.sorted().joined(separator: ", "))",
            object: name)
    }

    /// Refuses a VM that keeps state where no point can take it from: it must not be missed after a failover.
    private func checkReplicable(_ domain: Domain, at host: String) async throws {
        let definition = try DomainDefinition(xml: await hosts.hypervisor(host).inactiveXML(uuid: domain.uuid))
        if let obstacle = definition.firmwareObstacle {
            throw EngineError(
                .invalid, "\(domain.name) \(obstacle.what)", hint: obstacle.way, object: domain.name)
        }
    }

    private func insert(_ relationship: Relationship, _ item: ProtectedItem?) async throws {
        try await vault.write { vault in
            if try vault.object(Relationship.self, named: relationship.name, parent: nil) != nil {
                throw Self.refused(RuleBook.alreadyProtected, relationship.name)
            }
            try vault.insert(relationship)
            if let item { try vault.insert(item) }
        }
    }

    /// The writable disks that are replicated and the names of those left out; a disk that is meant to be replicated and cannot
    /// be is refused, never silently left out.
    private func replicatedDisks(
        of domain: Domain, at source: String, _ options: ProtectOptions
    ) throws -> (disks: [ReplicatedDisk], excluded: [String]) {
        let writable = domain.disks.filter { !$0.isReadOnly }
        guard !writable.isEmpty else {
            throw EngineError(
                .invalid, "\(domain.name) has no disk to replicate",
                hint: "give it a writable disk in a qcow2 file; read-only ones are not replicated", object: domain.name)
        }
        let choice: (taken: [String], left: [String])
        switch DiskChoice.choose(of: writable.map(\.target), only: options.disks, excluding: options.exclude) {
        case .success(let found): choice = found
        case .failure(let violation):
            throw EngineError(
                .invalid, "protect of '\(domain.name)': \(violation.sentence)",
                hint: "change \(violation.field); nothing was changed", object: domain.name)
        }
        let disks = try writable.filter { choice.taken.contains($0.target) }.map { disk in
            if let obstacle = disk.obstacle {
                throw EngineError(
                    .invalid, "disk \(disk.target) of \(domain.name) \(obstacle.what)",
                    hint: "\(obstacle.way), or leave it out with exclude = { \"\(disk.target)\" }", object: domain.name)
            }
            return ReplicatedDisk(
                target: disk.target, size: disk.size ?? 0,
                images: [source: DiskImage(path: disk.path ?? "", format: disk.format)])
        }
        return (disks, choice.left)
    }
}
