import LuaHost
import RecoveryEngine
import SiteModel

/// Methods that items, relationships and VMs have in common: the operations, and questions about them.
enum Operations {
    /// The methods, with examples that call them on an object of that type.
    static func methods(of type: String) -> [FunctionDeclaration] {
        [
            plain(
                "start_first_copy", .startFirstCopy, "Makes the outstanding first copy now, over the network.",
                .changes, type, in: .registered,
                after: FirstCopyMethods.pending(type, "start_after = \"6h\"") + "\n"),
            importFirstCopy(type),
            plain(
                "cancel_first_copy", .cancelFirstCopy,
                "Ends a first copy that runs, or calls a scheduled one off: it then waits for start_first_copy.",
                .changes, type, in: .registered,
                after: FirstCopyMethods.pending(type, "start_after = \"6h\"") + "\n"),
            sync(type),
            plain(
                "resume", .resume,
                "Lets paused or failed replication go on: all that changed since then becomes one recovery point.",
                .changes, type, in: .paused),
            failover(type), changePoint(type), undo(type),
            plain(
                "commit", .commit, "Makes a failover final and keeps only the chosen point.", .cannotBeUndone, type,
                in: .failedOver),
            plain(
                "reverse", .reverse, "Replicates a committed VM the other way and waits for the first point.", .changes,
                type, in: type == "relationship" ? .managementCommitted : .committed),
            TestMethods.testFailover(type), TestMethods.cleanUp(type), DiskMethods.leaveOut(type), NICMethods.set(type),
            NICMethods.list(type),
            plain(
                "unprotect", .unprotect, "Ends replication; the VM stays where it runs, its points are removed.",
                .cannotBeUndone, type),
            points(type), ProbeMethod.probe(type),
        ] + VerifyMethods.methods(of: type) + ResyncMethods.methods(of: type) + NextMethods.methods(of: type)
    }

    static let job = ResultDeclaration("job", .record("job"), "what was done")
    /// What any operation may come to.
    static let errors = [
        ErrorDeclaration("refused", "a rule forbids it: e.rule names the rule, and nothing was changed"),
        ErrorDeclaration("busy", "another operation has the VM; e.retryable"),
        ErrorDeclaration("failed", "a stage failed; the message says what state is left"),
        ErrorDeclaration("unreachable", "a host or an agent that is needed does not answer"),
    ]

    static let point = ValueType.either([
        .choice(["latest", "application-consistent"]), .integer, .record("point"), .record("group_point"),
    ])

    static let acceptDamage = Parameter.optional(
        "accept_damage", .text, "why a point that is known to be damaged may be used all the same",
        otherwise: "such a point is refused (recovery-point-damaged)")

    /// An operation without options.
    private static func plain(
        _ name: String, _ operation: Operation, _ doc: String, _ effect: Effect, _ type: String,
        in situation: Situation = .protected, after preparation: String = ""
    ) -> FunctionDeclaration {
        FunctionDeclaration(
            name, doc, results: [job], errors: errors, effect: effect,
            example: "\(preparation)local job = \(type):\(name)()", in: situation,
            .waiting { call in try await perform(operation, call) })
    }

    private static func sync(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "sync", "Makes a new recovery point now.",
            named: [
                .optional(
                    "consistency", .choice(PointConsistency.allCases.map(\.rawValue)),
                    "\"application\": the guest's agent freezes its file systems while the point's instant is taken; where it "
                        + "cannot, the point is crash-consistent and says why. \"crash\": the guest is left alone",
                    otherwise: "as the policy's app_consistent says")
            ],
            results: [job], errors: errors, effect: .changes,
            example: "local job = \(type):sync { consistency = \"application\" }",
            .waiting { call in try await perform(.sync, call, engineArguments(call, from: ["consistency"])) })
    }

    private static func failover(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "failover",
            "Starts the VM at the other side. Planned: it is shut down first and nothing is lost. Unplanned: it starts "
                + "from a recovery point, once its source is known to be down.",
            named: [
                .required("kind", .choice(["planned", "unplanned"]), "which"),
                .optional(
                    "point", point, "unplanned only: the recovery point", otherwise: "the latest", unit: .ordinal),
                .optional(
                    "source", .choice(["fence", "declared lost"]),
                    "unplanned only: how it becomes certain that the source is down. \"fence\" ends its whole host; "
                        + "\"declared lost\" is your word",
                    otherwise: "the VM is shut down there if its hypervisor answers; if it does not, the failover is "
                        + "refused (source-must-be-down)"),
                .optional(
                    "shutdown_limit", .duration, "how long the guest may take to shut down",
                    otherwise: "2min planned, 30s unplanned",
                    range: 1...86_400),
                acceptDamage,
            ],
            results: [job],
            errors: errors + [
                ErrorDeclaration("source-not-down", "nobody knows whether the source still runs"),
                ErrorDeclaration("shutdown-timed-out", "the guest did not shut down; it runs on at its source"),
            ],
            effect: .changes,
            example: "\(type):failover { kind = \"unplanned\", point = \"latest\", source = \"fence\" }",
            .waiting { call in
                let planned = call.arguments.text("kind") == "planned"
                var options = engineArguments(call, from: ["source", "shutdown_limit", "accept_damage"])
                options["point"] = try pointArgument(call)
                if planned {
                    for name in ["point", "source", "accept_damage"] where options[name] != nil {
                        throw LuaError(
                            .argument, "\(call.name): '\(name)' has no meaning in a planned failover",
                            hint: "it shuts the VM down and always takes the last point; leave '\(name)' out")
                    }
                }
                return try await perform(planned ? .plannedFailover : .unplannedFailover, call, options)
            })
    }

    private static func importFirstCopy(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "import_first_copy", "Takes a first copy that was carried to the target in as the first recovery point.",
            named: [.optional("path", .text, "folder at the target that holds the VM's", otherwise: "the one planned")],
            results: [job],
            errors: errors + [
                ErrorDeclaration("invalid", "nothing was exported, or the path is not absolute")
            ],
            effect: .changes,
            example: FirstCopyMethods.pending(
                type, "first_copy = \"offline\", export_path = \"/media/out\", import_path = \"/media/in\"")
                + "\n-- the folder is carried over\n\(type):import_first_copy()",
            in: .registered,
            .waiting { call in
                try await perform(.importFirstCopy, call, engineArguments(call, from: ["path"]))
            })
    }

    private static func changePoint(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "change_point", "Starts the failed-over VM anew from another recovery point, before commit.",
            named: [.required("point", point, "the recovery point", unit: .ordinal), acceptDamage], results: [job],
            errors: errors,
            effect: .changes, example: "\(type):change_point { point = 3 }", in: .failedOver,
            .waiting { call in
                var options = engineArguments(call, from: ["accept_damage"])
                options["point"] = try pointArgument(call) ?? "latest"
                return try await perform(.changePoint, call, options)
            })
    }

    private static func undo(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "undo",
            "Goes back to where the VM ran before a failover that is not committed. What it has written since the failover "
                + "is given up.",
            named: [
                .optional(
                    "target", .choice(["fence", "declared lost"]),
                    "where the side that it was failed over to does not answer: how it becomes certain that the VM no longer "
                        + "runs there. \"fence\" ends its whole host; \"declared lost\" is your word",
                    otherwise: "that side must answer (target-must-be-down)")
            ],
            results: [job],
            errors: errors + [
                ErrorDeclaration("target-not-down", "nobody knows whether the side that is given up still runs it")
            ],
            effect: .changes, example: "local job = \(type):undo()", in: .failedOver,
            .waiting { call in
                try await perform(.undo, call, engineArguments(call, from: ["target"]))
            })
    }

    private static func points(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "points", "Lists the recovery points, oldest first.",
            results: [ResultDeclaration("points", .list(.record("point")), "the points")], effect: .reads,
            example: "for _, point in ipairs(\(type):points()) do print(point.number, point.kind) end",
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                return [.list(try await call.session.points(of: relationship).map(Records.value))]
            })
    }

    // MARK: How

    /// Runs an operation while the Lua task waits, and returns its job.
    static func perform(
        _ operation: Operation, _ call: Call, _ arguments: [String: String] = [:]
    ) async throws -> [LuaValue] {
        let (session, asker) = (call.session, call.asker)
        let relationship = try await session.relationship(of: call.receiver)
        let job = try await session.operations.wait(for: "\(operation.rawValue) of \(relationship.name)") {
            try await session.engine.perform(operation, on: relationship.id, arguments: arguments, run: asker)
        }
        session.note(try await session.engine.relationship(relationship.id).state, of: call.receiver)
        return [Records.value(job)]
    }

    /// Options in the engine's form: text, durations in seconds.
    static func engineArguments(_ call: Call, from names: [String]) -> [String: String] {
        var options: [String: String] = [:]
        for name in names {
            options[name] = call.arguments.optionalText(name) ?? call.arguments.optionalNumber(name).map { "\($0)" }
        }
        return options
    }

    /// "latest", the number of a point or the name of a group point, from what the script named it by.
    static func pointArgument(_ call: Call) throws(LuaError) -> String? {
        switch call.arguments["point"] {
        case .string(let text)?: return text.description
        case .integer(let number)?: return "\(number)"
        case .table(let point)?:
            if let number = point["number"].integer { return "\(number)" }
            if point["members"].table != nil, let name = point["name"].text { return "group:\(name)" }
            throw LuaError(
                .argument, "\(call.name): 'point' is a table without 'number'",
                hint: "pass a point of item:points(), its number, a vault:group_point(), \"latest\" or "
                    + "\"application-consistent\"")
        default: return nil
        }
    }
}
