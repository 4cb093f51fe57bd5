import RecoveryEngine
import SiteModel
package import VaultStore

/// What of a vault a plan is made on: all that is recorded, but nothing that is under way.
package enum VaultCopy {
    /// Writes the objects of one vault into another, which is empty; the first is only read, in one transaction.
    package static func copy(_ vault: any Vault, into copy: any Vault) async throws {
        let objects = try await vault.read { vault in
            try all.map { try $0(vault) }
        }
        try await copy.write { copy in
            for insert in objects { try insert(copy) }
        }
    }

    private typealias Insertion = @Sendable (any VaultWriter) throws -> Void

    private static var all: [@Sendable (any VaultReader) throws -> Insertion] {
        [
            of(SiteModel.Host.self), of(HostCluster.self), of(Server.self), of(Cloud.self), of(Policy.self),
            of(CloudPair.self),
            of(LogicalNetwork.self), of(VMNetwork.self), of(NetworkMapping.self), of(StorageClass.self),
            of(StorageMapping.self), of(ProtectedItem.self), of(RecoveryPoint.self), of(GroupPoint.self),
            of(RecoveryPlan.self),
            of(Relationship.self) { relationship in
                // Whoever drives it in earnest does so elsewhere.
                (relationship.activeJob, relationship.heldGuest, relationship.test) = (nil, nil, nil)
            },
        ]
    }

    private static func of<Object: SiteObject>(
        _ type: Object.Type, _ change: @escaping @Sendable (inout Object) -> Void = { _ in }
    ) -> @Sendable (any VaultReader) throws -> Insertion {
        { vault in
            var objects = try vault.objects(type).map(\.value)
            for index in objects.indices { change(&objects[index]) }
            let changed = objects
            return { copy in
                for object in changed { try copy.insert(object) }
            }
        }
    }
}
