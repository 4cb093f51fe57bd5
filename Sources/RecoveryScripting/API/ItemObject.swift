import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `item`: a VM protected through the vault.
enum ItemObject {
    static let type = TypeDeclaration(
        "item", "A VM protected through the vault.", fields: ReplicationFields.all + [cloud],
        methods: Operations.methods(of: "item") + HealthMethods.methods(of: "item"))

    static let cloud = FieldDeclaration(
        "cloud", .object("cloud"), "the cloud that it is protected through",
        .waiting { call in
            let relationship = try await call.session.relationship(of: call.receiver)
            guard let item = try await call.session.engine.item(of: relationship) else { return [.nil] }
            return [try await call.session.cloudHandle(id: item.cloud)]
        })
}

/// `relationship`: a VM that the hosts replicate directly, below the vault's clouds.
enum RelationshipObject {
    static let type = TypeDeclaration(
        "relationship", "A VM that the hosts replicate directly, outside every cloud: the management server's own.",
        fields: ReplicationFields.all,
        methods: Operations.methods(of: "relationship") + HealthMethods.methods(of: "relationship"))
}
