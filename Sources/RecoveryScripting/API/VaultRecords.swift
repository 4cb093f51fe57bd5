import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// The vault's settings, its registration keys and its jobs.
enum VaultRecords {
    static let settings = FunctionDeclaration(
        "settings", "Reads or changes what the vault says of itself. What is left out stays as it is.",
        named: [
            .optional("name", .text, "the vault's name", otherwise: "stays as it is"),
            .optional(
                "goal", .choice(ProtectionGoal.allCases.map(\.rawValue)),
                "on how many servers the clouds of each pair are",
                otherwise: "stays as it is; \"any\" for a new vault"),
            .optional(
                "requires_key", .boolean, "whether a new server registers only with a key",
                otherwise: "stays as it is; false for a new vault"),
        ],
        results: [ResultDeclaration("settings", .record("vault_settings"), "what holds now")],
        errors: [ErrorDeclaration("refused", "rule goal-of-the-vault: a pair is not what the goal says")],
        effect: .changes, example: "vault:settings { goal = \"one-server\", requires_key = true }",
        .waiting { call in
            let arguments = call.arguments
            if let name = arguments.optionalText("name") { try Handle.check(name, of: "vault") }
            let record = try await call.session.engine.ensureVault(
                name: arguments.optionalText("name"),
                goal: arguments.optionalText("goal").flatMap(ProtectionGoal.init(rawValue:)),
                requiresKey: arguments.optionalBoolean("requires_key"))
            return [
                .table(
                    LuaTable([
                        "name": LuaValue(record.name), "goal": LuaValue(record.goal.rawValue),
                        "requires_key": .boolean(record.requiresKey),
                        "version": LuaValue(RecoveryEngine.versionSupport.current.description),
                    ]))
            ]
        })

    static let settingsRecord = RecordDeclaration(
        "vault_settings", "What the vault says of itself.",
        fields: [
            ResultDeclaration("name", .text, "its name"),
            ResultDeclaration("goal", .choice(ProtectionGoal.allCases.map(\.rawValue)), "what it is set up for"),
            ResultDeclaration("requires_key", .boolean, "whether a new server registers only with a key"),
            ResultDeclaration("version", .text, "version of the program that has it open"),
        ])

    static let registrationKey = FunctionDeclaration(
        "registration_key",
        "Issues a registration key and writes its file, which only its owner may read (needs --grant hosts). It is good for "
            + "five days, in this vault.",
        named: [.required("file", .text, "absolute path of the file: it must not exist")],
        results: [ResultDeclaration("key", .record("registration_key"), "the key, without its secret")],
        errors: [ErrorDeclaration("invalid", "the file exists or cannot be written")], effect: .changes,
        ifCutOff: .unknown,
        example: "local key = vault:registration_key { file = \"/tmp/perilune-vmm02.key\" }",
        .waiting { call in
            try call.require(.hosts)
            let engine = call.session.engine
            return [value(try await engine.issueKey(to: call.arguments.text("file")), engine.dependencies.clock.now)]
        })

    static let registrationKeys = FunctionDeclaration(
        "registration_keys", "Lists the registration keys that were issued, without their secrets.",
        results: [ResultDeclaration("keys", .list(.record("registration_key")), "the keys")], effect: .reads,
        example: "for _, key in ipairs(vault:registration_keys()) do print(key.id, key.state) end",
        .waiting { call in
            let engine = call.session.engine
            let keys = try await engine.vault.read { try $0.objects(RegistrationKey.self).map(\.value) }
            let now = engine.dependencies.clock.now
            return [.list(keys.map { value($0, now) })]
        })

    static let revokeKey = FunctionDeclaration(
        "revoke_key", "Revokes a registration key; servers that registered with it stay.",
        positional: [.required("id", .text, "the key's id")],
        errors: [ErrorDeclaration("unknown", "there is no such key")], effect: .cannotBeUndone, ifCutOff: .removal,
        example: """
            local key = vault:registration_key { file = "/tmp/perilune-vmm03.key" }
            vault:revoke_key(key.id)
            """,
        .waiting { call in
            try await call.session.engine.revokeKey(call.arguments.text("id"))
            return []
        })

    static let keyRecord = RecordDeclaration(
        "registration_key", "Leave for a server to register; the vault keeps the hash of its secret only.",
        fields: [
            ResultDeclaration("id", .text, "identity of the key"),
            ResultDeclaration("state", .choice(["valid", "expired", "revoked"]), "whether it is good now"),
            ResultDeclaration("expires", .number, "when it ends", unit: .epochSeconds),
            ResultDeclaration("used_by", .list(.text), "servers that registered with it"),
        ])

    private static func value(_ key: RegistrationKey, _ now: Timestamp) -> LuaValue {
        .table(
            LuaTable([
                "id": LuaValue(key.id), "state": LuaValue(key.problem(at: now)?.rawValue ?? "valid"),
                "expires": Records.seconds(key.expiresAt), "used_by": .list(key.usedBy.map { LuaValue($0) }),
            ]))
    }

    static let jobs = FunctionDeclaration(
        "jobs", "Lists jobs, newest first.",
        named: [
            .optional("vm", .text, "only those of this VM", otherwise: "all", names: .vm),
            .optional(
                "outcome", .choice(JobOutcome.allCases.map(\.rawValue)), "only those that stand so", otherwise: "all"),
            .optional("limit", .integer, "how many at most", default: 50, unit: .count, range: 1...10_000),
        ],
        results: [ResultDeclaration("jobs", .list(.record("job")), "the jobs")],
        errors: [ErrorDeclaration("unknown", "no VM of that name is replicated; the hint has the nearest")],
        effect: .reads,
        example: "for _, job in ipairs(vault:jobs { limit = 5 }) do print(job.operation, job.outcome) end",
        .waiting { call in
            let (session, arguments) = (call.session, call.arguments)
            var parent: String?
            if let vm = arguments.optionalText("vm") {
                parent = try await session.find(Relationship.self, named: vm, as: "replicated VM").id
            }
            let (wanted, outcome) = (parent, arguments.optionalText("outcome"))
            let jobs = try await session.engine.vault.read { vault in
                try wanted.map { try vault.objects(Job.self, parent: $0) } ?? vault.objects(Job.self)
            }.map(\.value).filter { outcome == nil || $0.outcome.rawValue == outcome }
                .sorted { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
            return [.list(jobs.prefix(arguments.integer("limit")).map(Records.value))]
        })
}
