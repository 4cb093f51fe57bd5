package import SiteModel
import VaultStore

/// Taking things away again: never what something else refers to, and nothing left behind.
extension RecoveryEngine {
    package func removeHost(_ host: Host) async throws {
        try await remove(host, as: "host") { vault in
            try vault.objects(Cloud.self).filter { $0.value.hosts.contains(host.id) }.map { "cloud \($0.value.name)" }
                + vault.objects(HostCluster.self).filter { $0.value.hosts.contains(host.id) }
                .map { "cluster \($0.value.name)" }
                + vault.objects(Relationship.self).filter {
                    $0.value.state != .unprotected && [$0.value.source, $0.value.target].contains(host.id)
                }.map { "VM \($0.value.name)" }
                + vault.objects(StorageClass.self).filter { $0.value.locations.contains { $0.host == host.id } }
                .map { "storage class \($0.value.name)" }
                + vault.objects(VaultIdentity.self).filter { $0.value.secondPlace == .host(host.id) }
                .map { _ in "the vault, whose second place it is (perilune vault ship --to)" }
        }
    }

    package func removeCluster(_ cluster: HostCluster) async throws {
        try await remove(cluster, as: "cluster") { vault in
            try vault.objects(Cloud.self).filter { $0.value.clusters?.contains(cluster.id) ?? false }
                .map { "cloud \($0.value.name)" }
        }
    }

    package func removePolicy(_ policy: Policy) async throws {
        try await remove(policy, as: "policy") { vault in
            try vault.objects(CloudPair.self).filter { $0.value.policy == policy.id }.map { "pair \($0.value.name)" }
                + vault.objects(Relationship.self).filter {
                    $0.value.policy == policy.id && $0.value.state != .unprotected
                }.map { "VM \($0.value.name)" }
        }
    }

    package func removeCloud(_ cloud: Cloud) async throws {
        try await remove(cloud, as: "cloud") { vault in
            try vault.objects(CloudPair.self).filter { $0.value.joins(cloud.id) }.map { "pair \($0.value.name)" }
                + vault.objects(NetworkMapping.self).filter {
                    [$0.value.sourceCloud, $0.value.targetCloud].contains(cloud.id)
                }.map { "network mapping \($0.value.name)" }
                + vault.objects(LogicalNetwork.self).filter { $0.value.clouds.contains(cloud.id) }
                .map { "logical network \($0.value.name)" }
        }
    }

    package func removeVMNetwork(_ network: VMNetwork, of server: Server) async throws {
        try await remove(network, as: "VM network") { vault in
            let clouds = Set(try vault.objects(Cloud.self, parent: server.id).map(\.value.id))
            return try vault.objects(NetworkMapping.self).map(\.value).filter {
                ($0.name == network.name && clouds.contains($0.sourceCloud))
                    || ($0.targetNetwork == network.name && clouds.contains($0.targetCloud))
            }.map { "network mapping \($0.name) -> \($0.targetNetwork)" }
        }
    }

    package func removeLogicalNetwork(_ network: LogicalNetwork) async throws {
        try await remove(network, as: "logical network") { vault in
            try vault.objects(VMNetwork.self, parent: network.id).map { "VM network \($0.value.name)" }
        }
    }

    package func removeStorageClass(_ storageClass: StorageClass) async throws {
        try await remove(storageClass, as: "storage class") { vault in
            try vault.objects(StorageMapping.self).map(\.value)
                .filter { $0.source == storageClass.id || $0.target == storageClass.id }
                .map { "storage mapping of \($0.name)" }
        }
    }

    /// Takes a server out of the vault with its clouds, networks and classes.
    ///
    /// In the order of the reference: its VMs are unprotected, its mappings removed, its clouds taken out of their pairs, and
    /// then this; what is left to do before is named in that order (`unregistrationSteps`).
    package func unregister(_ server: Server) async throws {
        let now = dependencies.clock.now
        try await vault.write { vault in
            guard let stored = try vault.object(Server.self, id: server.id) else { return }
            let left = try Self.steps(toUnregister: stored.value, vault).map(\.words)
            if let refusal = Guards.checkUnregistration(of: server.name, left: left) { throw Self.refused(refusal) }
            let clouds = try vault.objects(Cloud.self, parent: server.id)
            let ids = Set(clouds.map(\.value.id))
            for logical in try vault.objects(LogicalNetwork.self, parent: server.id) {
                for network in try vault.objects(VMNetwork.self, parent: logical.value.id) { try vault.delete(network) }
                try vault.delete(logical)
            }
            for storageClass in try vault.objects(StorageClass.self, parent: server.id) {
                try vault.delete(storageClass)
            }
            for item in try vault.objects(ProtectedItem.self) where ids.contains(item.value.cloud) {
                if let relationship = try vault.object(Relationship.self, id: item.value.relationship) {
                    try vault.delete(relationship)
                }
                try vault.delete(item)
            }
            for cloud in clouds { try vault.delete(cloud) }
            try vault.delete(stored)
            try vault.append(
                Event(
                    at: now, severity: .info, object: server.id, text: "server \(server.name) was unregistered",
                    code: "server-unregistered", topic: .server))
        }
    }

    /// Refuses unless the vault holds nothing that somebody may still need: then it may be deleted (`VaultDeletion`).
    static func checkIsEmpty(_ vault: any Vault) async throws {
        let (name, left) = try await vault.read { vault in
            (
                try vault.objects(VaultRecord.self).first?.value.name ?? VaultRecord.defaultName,
                try vault.objects(Server.self).map { "server \($0.value.name)" }
                    + vault.objects(Host.self).map { "host \($0.value.name)" }
                    + vault.objects(Relationship.self).filter { $0.value.state != .unprotected }
                    .map { "VM \($0.value.name)" }
            )
        }
        if let refusal = Guards.checkVaultDeletion(of: name, left: left) { throw Self.refused(refusal) }
    }

    private func remove<Object: SiteObject>(
        _ object: Object, as word: String, users: @escaping @Sendable (any VaultReader) throws -> [String]
    ) async throws {
        let now = dependencies.clock.now
        try await vault.write { vault in
            guard let stored = try vault.object(Object.self, id: object.id) else { return }
            if let refusal = Guards.checkRemoval(of: object.name, users: try users(vault)) {
                throw Self.refused(refusal)
            }
            try vault.delete(stored)
            try vault.append(
                Event(
                    at: now, severity: .info, object: object.id, text: "\(word) \(object.name) was removed",
                    code: "removed", topic: .setup))
        }
    }
}
