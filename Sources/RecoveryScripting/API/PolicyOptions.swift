import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `vault:policy`: making and changing policies.
enum PolicyOptions {
    static let make = FunctionDeclaration(
        "policy", "Makes or changes a policy, or looks one up by name. What is left out stays as it is.",
        named: [
            .required("name", .text, "unique among policies"),
            .optional(
                "copy_frequency", .duration, "time between cycles: 30s, 5min or 15min",
                otherwise: "stays as it is; 5min for a new policy"),
            .optional(
                "recovery_points", .integer, "points kept besides the newest, one an hour, 0 to 24",
                otherwise: "stays as it is; 0 for a new policy",
                unit: .count),
            .optional(
                "app_consistent", .either([.choice(["off"]), .duration]),
                "time between application-consistent points, 1h to 12h, fewer hours than recovery_points",
                otherwise: "stays as it is; \"off\" for a new policy"),
            .optional(
                "compression", .boolean, "compress what travels where the network is what a transfer waits for",
                otherwise: "stays as it is; true for a new policy"),
            .optional(
                "authentication", .choice(Policy.Authentication.allCases.map(\.rawValue)),
                "how agents prove who they are; \"certificate\" sends to agents with TLS alone",
                otherwise: "stays as it is; \"ticket\" for a new policy"),
            .optional(
                "port", .either([.choice(["any"]), .integer]),
                "port that the agents of both clouds must receive on, 1 to 65535",
                otherwise: "stays as it is; \"any\" for a new policy", unit: .ordinal),
            .optional(
                "first_copy", .choice(Policy.FirstCopy.allCases.map(\.rawValue)), "when",
                otherwise: "stays as it is; \"now\" for a new policy"),
            .optional(
                "first_copy_time", .text, "time of day of a scheduled first copy, such as \"22:00\"",
                otherwise: "stays as it is"),
            .optional(
                "export_path", .text, "folder at the source that an offline first copy is written to",
                otherwise: "stays as it is"),
            .optional("import_path", .text, "folder at the target that it is read from", otherwise: "stays as it is"),
            .optional(
                "delete_replica", .boolean, "whether the points go when protection ends",
                otherwise: "stays as it is; true for a new policy"),
            .optional(
                "auto_resync", .choice(Policy.AutoResync.allCases.map(\.rawValue)),
                "whether replication that has diverged is compared anew without being asked",
                otherwise: "stays as it is; \"off\" for a new policy"),
            .optional(
                "resync_window", .text, "when auto_resync = \"window\" may begin",
                otherwise: "stays as it is; \"18:30-06:00\" for a new policy"),
            .optional(
                "monitoring_interval", .duration,
                "length of a stretch of statistics: 1, 2, 3, 4, 6, 8, 12 or 24 hours or 2 to 7 days",
                otherwise: "stays as it is; 12h for a new policy"
            ),
            .optional(
                "monitoring_start", .text, "when the day's first stretch begins",
                otherwise: "stays as it is; \"09:00\" for a new policy"),
        ],
        lookup: .required("name", .text, "name of a policy", names: .policy),
        results: [ResultDeclaration("policy", .object("policy"), "the policy")],
        errors: [
            ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest"),
            ErrorDeclaration("invalid", "a value is not one of those that are allowed, or needs another"),
        ],
        effect: .changes,
        example: "local fast = vault:policy { name = \"fast\", copy_frequency = \"30s\", recovery_points = 4 }",
        in: .bare,
        .waiting { call in
            let name = call.arguments.text("name")
            if call.arguments.isLookup {
                return [.object(Handle.policy(try await call.session.policy(Handle.policy(name)).name))]
            }
            try Handle.check(name, of: "policy")
            let wanted = try await wanted(name, call)
            return [.object(Handle.policy(try await call.session.engine.ensurePolicy(wanted).name))]
        })

    /// The policy as it is, or a new one, with what was given.
    private static func wanted(_ name: String, _ call: Call) async throws -> Policy {
        let (engine, arguments) = (call.session.engine, call.arguments)
        let present = try await engine.vault.read { try $0.object(Policy.self, named: name, parent: nil)?.value }
        var policy = present ?? Policy(id: engine.dependencies.identifiers.next(), name: name)
        if let seconds = arguments.optionalNumber("copy_frequency") {
            policy.copyFrequencySeconds = try whole(seconds, "copy_frequency", "seconds", call)
        }
        if let points = arguments.optionalInteger("recovery_points") { policy.recoveryPoints = points }
        if arguments["app_consistent"]?.text == "off" {
            policy.applicationConsistentHours = nil
        } else if let seconds = arguments.optionalNumber("app_consistent") {
            policy.applicationConsistentHours = try whole(seconds / 3600, "app_consistent", "hours", call)
        }
        if let compression = arguments.optionalBoolean("compression") { policy.compression = compression }
        take(&policy.authentication, "authentication", call)
        if arguments["port"]?.text == "any" {
            policy.port = nil
        } else if let port = arguments.optionalInteger("port") {
            policy.port = port
        }
        take(&policy.firstCopy, "first_copy", call)
        if let time = try read("first_copy_time", "a time of day such as \"22:00\"", call, TimeOfDay.init) {
            policy.firstCopyTime = time
        }
        if let path = arguments.optionalText("export_path") { policy.exportPath = path }
        if let path = arguments.optionalText("import_path") { policy.importPath = path }
        if let delete = arguments.optionalBoolean("delete_replica") { policy.deleteReplica = delete }
        take(&policy.autoResync, "auto_resync", call)
        if let window = try read(
            "resync_window", "two different times of day such as \"18:30-06:00\"", call, DailyWindow.init)
        {
            policy.resyncWindow = window
        }
        if let seconds = arguments.optionalNumber("monitoring_interval") {
            policy.monitoringHours = try whole(seconds / 3600, "monitoring_interval", "hours", call)
        }
        if let start = try read("monitoring_start", "a time of day such as \"09:00\"", call, TimeOfDay.init) {
            policy.monitoringStart = start
        }
        return policy
    }

    private static func take<Word: RawRepresentable<String>>(_ field: inout Word, _ name: String, _ call: Call) {
        if let word = call.arguments.optionalText(name).flatMap(Word.init(rawValue:)) { field = word }
    }

    /// An option that is text of a certain form; nil when it was left out.
    static func read<Value>(
        _ name: String, _ allowed: String, _ call: Call, _ read: (String) -> Value?
    ) throws(LuaError) -> Value? {
        guard let text = call.arguments.optionalText(name) else { return nil }
        if let value = read(text) { return value }
        throw LuaError(
            .argument,
            "\(call.context.function): '\(name)' must be \(allowed), got \(ArgumentDecoder.shown(LuaValue(text)))")
    }

    private static func whole(_ number: Double, _ name: String, _ unit: String, _ call: Call) throws(LuaError) -> Int {
        guard let whole = Int(exactly: number) else {
            throw LuaError(
                .argument, "\(call.context.function): '\(name)' must be a whole number of \(unit), got \(number)")
        }
        return whole
    }
}
