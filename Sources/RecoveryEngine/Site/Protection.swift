import BlockReplication
package import Hypervisors
package import SiteModel
import VaultStore

/// Beginning replication of a VM, through a cloud or by the hosts alone.
extension RecoveryEngine {
    /// Protects a VM of a paired cloud: creates its item and relationship and makes the first copy.
    @discardableResult
    package func protect(vm name: String, in cloud: Cloud, run: String? = nil) async throws -> ProtectedItem {
        let pair = try await vault.read { vault in
            try vault.objects(CloudPair.self).map(\.value).first { $0.primary == cloud.id }
        }
        guard let pair else { throw Self.refused(RuleBook.pairRequired, cloud.name) }
        let (server, targetHosts, existing) = try await vault.read { vault in
            (
                try vault.object(Server.self, id: cloud.server)?.value,
                try vault.object(Cloud.self, id: pair.recovery)?.value.hosts ?? [],
                try vault.object(ProtectedItem.self, named: name, parent: cloud.id)?.value
            )
        }
        if server?.managementVM == name { throw Self.refused(RuleBook.managementVMOutsideClouds, name) }
        if let existing {
            try await perform(.protect, on: existing.relationship, run: run)
            return existing
        }
        guard let target = targetHosts.first else {
            throw EngineError(
                .invalid, "the recovery cloud of \(cloud.name) has no host", hint: "add one to it", object: cloud.name)
        }
        let (domain, source) = try await find(vm: name, on: cloud.hosts, where: "cloud \(cloud.name)")
        try await checkReplicable(domain, at: source)
        let itemID = dependencies.identifiers.next()
        var relationship = try newRelationship(domain, source: source, target: target, policy: pair.policy)
        relationship.item = itemID
        let item = ProtectedItem(
            id: itemID, name: name, cloud: cloud.id, pair: pair.id, relationship: relationship.id)
        try await insert(relationship, item)
        try await perform(.protect, on: relationship.id, run: run)
        return item
    }

    /// Replicates a VM from one host to another below the vault's clouds: how a management server's own VM is
    /// replicated.
    @discardableResult
    package func replicate(
        vm name: String, from source: Host, to target: Host, policy: Policy, networks: [String: String],
        run: String? = nil
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
        var relationship = try newRelationship(domain, source: source.id, target: target.id, policy: policy.id)
        relationship.networks = networks
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
        for id in hostIDs {
            let domains = try await hosts.hypervisor(id).domains().filter { !tests.contains($0.uuid) }
            if let domain = domains.first(where: { $0.name == name }) { return (domain, id) }
            known += domains.map(\.name)
        }
        let nearest = Nearest.suggestion(for: name, among: known)
        throw EngineError(
            .unknown, "\(place) has no VM '\(name)'",
            hint: nearest.map { "did you mean '\($0)'?" } ?? "it has: \(known.sorted().joined(separator: ", "))",
            object: name)
    }

    /// Refuses a VM whose state is more than its disks: what is not replicated must not be missed after a failover.
    private func checkReplicable(_ domain: Domain, at host: String) async throws {
        let definition = try DomainDefinition(xml: await hosts.hypervisor(host).inactiveXML(uuid: domain.uuid))
        guard definition.firmwareState.isEmpty else {
            throw EngineError(
                .invalid, "\(domain.name) keeps state in \(definition.firmwareState.joined(separator: " and "))",
                hint: "this version replicates disks only: protect a VM that boots by BIOS and has no TPM",
                object: domain.name)
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

    /// A relationship over all writable disks; a disk that cannot be replicated is refused, never silently left out.
    private func newRelationship(
        _ domain: Domain, source: String, target: String, policy: String
    ) throws -> Relationship {
        let disks = try domain.disks.filter { !$0.isReadOnly }.map { disk in
            guard let path = disk.path, let size = disk.size else {
                throw EngineError(
                    .invalid, "disk \(disk.target) of \(domain.name) is not a file that can be read",
                    hint: "only disks that are files are replicated; detach it, or make it read-only",
                    object: domain.name)
            }
            guard disk.format == "qcow2" else {
                throw EngineError(
                    .invalid, "disk \(disk.target) of \(domain.name) has format \(disk.format)",
                    hint: "changes are tracked in qcow2 files only: convert it with qemu-img while the VM is off",
                    object: domain.name)
            }
            return ReplicatedDisk(
                target: disk.target, size: size, images: [source: DiskImage(path: path, format: disk.format)])
        }
        guard !disks.isEmpty else {
            throw EngineError(.invalid, "\(domain.name) has no disk to replicate", object: domain.name)
        }
        return Relationship(
            id: dependencies.identifiers.next(), name: domain.name, vmUUID: domain.uuid, source: source, target: target,
            policy: policy, disks: disks)
    }
}
