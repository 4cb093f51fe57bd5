import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// Fields that items and relationships have in common.
enum ReplicationFields {
    static let all = [
        name, state, owner, source, target, epoch, policy, newestPoint, lastError, disks, excludedDisks, firstCopy,
        lastFailover, lastTestFailover, failoverPoint, activeJob, trouble, resyncAt,
    ]

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

    static let disks = field("disks", .list(.record("disk")), "the disks that are replicated") { relationship, _ in
        .list(
            relationship.disks.map {
                .table(LuaTable(["name": LuaValue($0.target), "size": .integer(Int64(clamping: $0.size))]))
            })
    }
    static let excludedDisks = field("excluded_disks", .list(.text), "disks that were left out") { relationship, _ in
        .list((relationship.excludedDisks ?? []).map { LuaValue($0) })
    }
    static let firstCopy = field(
        "first_copy", .record("first_copy"), "the first copy, until it is whole", optional: true
    ) { relationship, _ in relationship.firstCopy.map(FirstCopyMethods.value) ?? .nil }
    static let lastFailover = field(
        "last_failover", .number, "when it last came up at the other side", .epochSeconds, optional: true
    ) { relationship, _ in relationship.lastFailoverAt.map(Records.seconds) ?? .nil }
    static let lastTestFailover = field(
        "last_test_failover", .number,
        "when a test failover was last cleaned up: only then it counts", .epochSeconds, optional: true
    ) { relationship, _ in relationship.lastTestFailoverAt.map(Records.seconds) ?? .nil }
    static let failoverPoint = field(
        "chosen_point", .integer, "the recovery point that it was failed over to", .ordinal, optional: true
    ) { relationship, session in
        guard let generation = relationship.failover?.generation else { return .nil }
        return try await session.points(of: relationship).first { $0.id == generation }.map { LuaValue($0.number) }
            ?? .nil
    }
    static let activeJob = field("active_job", .record("job"), "the job that has it now", optional: true) {
        relationship, session in
        guard let id = relationship.activeJob else { return .nil }
        return try await session.engine.vault.read { try $0.object(Job.self, id: id)?.value }.map(Records.value) ?? .nil
    }

    static let trouble = field(
        "trouble", .record("trouble"), "why replication stands, in states error and resync-required", optional: true
    ) { relationship, _ in
        guard let trouble = relationship.trouble else { return .nil }
        return .table(
            LuaTable([
                "finding": LuaValue(trouble.finding.rawValue), "since": Records.seconds(trouble.since),
                "failure": Records.value(trouble.failure),
            ]))
    }
    static let troubleRecord = RecordDeclaration(
        "trouble", "What made replication stop.",
        fields: [
            ResultDeclaration(
                "finding", .choice(Finding.allCases.map(\.rawValue)),
                "replication-stopped: a person must look; diverged: a resync is needed"),
            ResultDeclaration("since", .number, "when it was found", unit: .epochSeconds),
            ResultDeclaration("failure", .record("failure"), "the failure that it was found by, with causes and hint"),
        ])
    static let resyncAt = field(
        "resync_at", .number, "when a resync that was put off begins", .epochSeconds, optional: true
    ) { relationship, _ in relationship.resyncAt.map(Records.seconds) ?? .nil }

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
