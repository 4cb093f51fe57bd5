import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// How replication stands: of a VM, and of all.
enum HealthMethods {
    static func methods(of type: String) -> [FunctionDeclaration] { [health(of: type), reset(of: type)] }

    private static func health(of type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "health", "Says how replication of the VM stands and why, with the figures of the stretch under way.",
            results: [ResultDeclaration("health", .record("replication_health"), "how it stands")],
            errors: [ErrorDeclaration("refused", "rule not-protected")], effect: .reads,
            example: """
                local health = \(type):health()
                print(health.health, health.rpo, table.concat(health.reasons, " "))
                """,
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                return [value(try await call.session.engine.health(of: relationship.id, pending: true))]
            })
    }

    private static func reset(of type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "reset_statistics",
            "Begins counting cycles anew, which ends a warning that missed cycles brought about. Totals go on.",
            errors: [ErrorDeclaration("refused", "rule not-protected")], effect: .changes,
            example: "\(type):reset_statistics()",
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                try await call.session.engine.resetStatistics(of: relationship.id)
                return []
            })
    }

    static let ofVault = FunctionDeclaration(
        "health", "Says how replication of every VM stands.",
        results: [ResultDeclaration("health", .record("vault_health"), "how all stand")], effect: .reads,
        example: "for _, each in ipairs(vault:health().vms) do print(each.vm, each.health, each.rpo) end",
        .waiting { call in
            let health = try await call.session.engine.health()
            var table = LuaTable([
                "health": LuaValue(health.health.rawValue), "vms": .list(health.items.map(value)),
            ])
            for each in ReplicationHealth.allCases { table[word(each)] = LuaValue(health.count(each)) }
            return [.table(table)]
        })

    private static func word(_ health: ReplicationHealth) -> String {
        health.rawValue.replacing("-", with: "_")
    }

    // MARK: Records

    static let records = [record, error, vaultRecord]

    private static let words = ReplicationHealth.allCases.map(\.rawValue)

    private static let record = RecordDeclaration(
        "replication_health", "How replication of a VM stands. Sizes and times are of the stretch under way.",
        fields: [
            ResultDeclaration("vm", .text, "the VM"),
            ResultDeclaration("health", .choice(words), "the worst of what was found"),
            ResultDeclaration("reasons", .list(.text), "a sentence for each fault, the worst first"),
            ResultDeclaration("errors", .list(.record("health_error")), "the same with causes and what to do"),
            ResultDeclaration(
                "rpo", .number, "what would be lost now: the age of the instant that the newest whole point shows",
                unit: .seconds, optional: true),
            ResultDeclaration(
                "alert", .choice(AgeAlert.allCases.map(\.rawValue)), "rpo above twice or three times copy_frequency",
                optional: true),
            ResultDeclaration("copy_frequency", .number, "time between cycles", unit: .seconds),
            ResultDeclaration("last_sync", .number, "the newest point's instant", unit: .epochSeconds, optional: true),
            ResultDeclaration("succeeded", .integer, "cycles made", unit: .count),
            ResultDeclaration("missed", .integer, "cycles that should have been made", unit: .count),
            ResultDeclaration("network_failures", .integer, "attempts that failed on the way", unit: .count),
            ResultDeclaration("replication_failures", .integer, "attempts that failed otherwise", unit: .count),
            ResultDeclaration(
                "average_latency", .number, "from a point's instant until it is whole", unit: .seconds, optional: true),
            ResultDeclaration("longest_latency", .number, "at most", unit: .seconds, optional: true),
            ResultDeclaration("average_size", .integer, "sent for a point", unit: .bytes, optional: true),
            ResultDeclaration("largest_size", .integer, "at most", unit: .bytes, optional: true),
            ResultDeclaration(
                "pending", .integer, "waits to be sent; nil where the source cannot tell it cheaply", unit: .bytes,
                optional: true),
            ResultDeclaration("window_start", .number, "when the stretch began", unit: .epochSeconds),
            ResultDeclaration("window_end", .number, "when it ends", unit: .epochSeconds),
            ResultDeclaration(
                "last_test_failover", .number, "when the last test was cleaned up", unit: .epochSeconds, optional: true),
        ])

    private static let error = RecordDeclaration(
        "health_error", "Something that is wrong with a VM's replication.",
        fields: [
            ResultDeclaration("code", .text, "stable word for it, such as cycles-missed"),
            ResultDeclaration("level", .choice(HealthError.Level.allCases.map(\.rawValue)), "how bad it is"),
            ResultDeclaration("message", .text, "one sentence"),
            ResultDeclaration("causes", .list(.text), "what may have brought it about"),
            ResultDeclaration("recommendation", .text, "what to do"),
        ])

    private static let vaultRecord = RecordDeclaration(
        "vault_health", "How replication of all VMs stands.",
        fields: [ResultDeclaration("health", .choice(words), "the worst of all")]
            + ReplicationHealth.allCases.map {
                ResultDeclaration(word($0), .integer, "VMs whose health is \($0.rawValue)", unit: .count)
            } + [ResultDeclaration("vms", .list(.record("replication_health")), "each VM's, by name")])

    static func value(_ item: ItemHealth) -> LuaValue {
        let counts = item.statistics?.counts ?? CycleCounts()
        func bytes(_ count: UInt64?) -> LuaValue { count.map { .integer(Int64(clamping: $0)) } ?? .nil }
        var table = LuaTable([
            "vm": LuaValue(item.name), "health": LuaValue(item.health.rawValue),
            "reasons": .list(item.errors.map { LuaValue($0.message) }), "errors": .list(item.errors.map(value)),
            "copy_frequency": .number(item.frequency), "succeeded": LuaValue(counts.succeeded),
            "missed": LuaValue(counts.missed), "network_failures": LuaValue(counts.networkFailures),
            "replication_failures": LuaValue(counts.replicationFailures),
            "window_start": Records.seconds(item.window.start), "window_end": Records.seconds(item.window.end),
        ])
        table["rpo"] = item.recoveryPointAge.map { .number($0) } ?? .nil
        table["alert"] = LuaValue(item.ageAlert?.rawValue)
        table["last_sync"] = item.newestPoint.map(Records.seconds) ?? .nil
        table["average_latency"] = counts.averageLatency.map { .number($0) } ?? .nil
        table["longest_latency"] = counts.succeeded > 0 ? .number(counts.latencyMaximum) : .nil
        table["average_size"] = bytes(counts.averageBytes)
        table["largest_size"] = counts.succeeded > 0 ? bytes(counts.bytesMaximum) : .nil
        table["pending"] = bytes(item.statistics?.pendingBytes)
        table["last_test_failover"] = item.relationship.lastTestFailoverAt.map(Records.seconds) ?? .nil
        return .table(table)
    }

    private static func value(_ error: HealthError) -> LuaValue {
        .table(
            LuaTable([
                "code": LuaValue(error.code), "level": LuaValue(error.level.rawValue),
                "message": LuaValue(error.message), "causes": .list(error.causes.map { LuaValue($0) }),
                "recommendation": LuaValue(error.recommendation),
            ]))
    }
}
