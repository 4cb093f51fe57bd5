import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// Fields that items and relationships have in common.
enum ReplicationFields {
    static let all = [name, state, owner, source, target, epoch, policy, newestPoint, lastError]

    static let name = FieldDeclaration(
        "name", .text, "the VM's name", .immediate { call in [LuaValue(call.receiver.id)] })
    static let state = field(
        "state", .choice(ReplicationState.allCases.map(\.rawValue)), "where it stands in the state table"
    ) { relationship, _ in LuaValue(relationship.state.rawValue) }
    static let owner = field("owner", .object("host"), "the one host whose copy may be written") {
        try await $1.hostHandle(id: $0.owner)
    }
    static let source = field("source", .object("host"), "the host that is replicated from") {
        try await $1.hostHandle(id: $0.source)
    }
    static let target = field("target", .object("host"), "the host that is replicated to") {
        try await $1.hostHandle(id: $0.target)
    }
    static let epoch = field("epoch", .integer, "number of the ownership, raised by every failover", .ordinal) {
        relationship, _ in
        LuaValue(relationship.epoch)
    }
    static let policy = field("policy", .object("policy"), "how it is replicated", optional: true) {
        relationship, session in
        let name = try await session.engine.vault.read { vault in
            try vault.object(Policy.self, id: relationship.policy)?.value.name
        }
        return name.map { .object(Handle.policy($0)) } ?? .nil
    }
    static let newestPoint = field("newest_point", .record("point"), "the newest recovery point", optional: true) {
        relationship, session in
        try await session.points(of: relationship).last.map(Records.value) ?? .nil
    }
    static let lastError = field("last_error", .text, "the last failure, until the next success", optional: true) {
        relationship, _ in LuaValue(relationship.lastError)
    }

    private static func field(
        _ name: String, _ type: ValueType, _ doc: String, _ unit: Unit? = nil, optional: Bool = false,
        _ read: @escaping @Sendable (Relationship, ScriptContext) async throws -> LuaValue
    ) -> FieldDeclaration {
        FieldDeclaration(
            name, type, doc, unit: unit, optional: optional,
            .waiting { call in
                [try await read(call.session.relationship(of: call.receiver), call.session)]
            })
    }
}

extension ScriptContext {
    /// The recovery points of a VM, oldest first.
    func points(of relationship: Relationship) async throws -> [RecoveryPoint] {
        try await engine.vault.read { vault in
            try vault.objects(RecoveryPoint.self, parent: relationship.id).map(\.value)
                .sorted { $0.number < $1.number }
        }
    }
}
