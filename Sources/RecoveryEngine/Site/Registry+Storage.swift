package import SiteModel
import VaultStore

/// Storage classes, and which class replicas of a class are kept in.
extension RecoveryEngine {
    @discardableResult
    package func ensureStorageClass(
        name: String, server: Server, locations: [StorageLocation]
    ) async throws -> StorageClass {
        let wanted = StorageClass(
            id: dependencies.identifiers.next(), name: name, server: server.id, locations: locations)
        try Self.check(wanted, "storage class '\(name)'")
        return try await ensure(wanted) { $0.id = $1.id }
    }

    /// Says in which class replicas of disks of a class are kept; a class maps to one class at most.
    @discardableResult
    package func ensureStorageMapping(from source: StorageClass, to target: StorageClass) async throws -> StorageMapping
    {
        var mapping = StorageMapping(id: dependencies.identifiers.next(), source: source, target: target)
        mapping.name = source.name
        return try await ensure(mapping) { $0.id = $1.id }
    }

    package func removeStorageMapping(of source: StorageClass) async throws {
        try await vault.write { vault in
            guard let mapping = try vault.objects(StorageMapping.self, parent: source.id).first else {
                throw EngineError(
                    .unknown, "storage class \(source.name) is mapped to none", hint: "there is nothing to remove",
                    object: source.name)
            }
            try vault.delete(mapping)
        }
    }
}
