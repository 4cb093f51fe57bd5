import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `plan`: how the VMs of an application move together.
enum PlanObject {
    static let type = TypeDeclaration(
        "plan",
        "A recovery plan: groups of VMs in order, with what is done before and after each. Running it again goes on where "
            + "the last run of the same kind stopped.",
        fields: [name, source, target, vms],
        methods: [
            test, cleanUpTest, failover, commit, reverse, last, tree, export, confirm, remove, serveCalls, nextCall,
            answer,
        ])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(call.receiver.id)] })

    static let source = server("source", "the server of the primary clouds") { $0.source }
    static let target = server("target", "the server of the recovery clouds") { $0.target }

    static let vms = FieldDeclaration(
        "vms", .list(.text), "names of its VMs, group by group",
        .waiting { call in [.list(try await plan(call).vms.map { LuaValue($0) })] })

    private static func server(
        _ name: String, _ doc: String, _ id: @escaping @Sendable (RecoveryPlan) -> String
    ) -> FieldDeclaration {
        FieldDeclaration(
            name, .object("server"), doc,
            .waiting { call in
                let wanted = id(try await plan(call))
                let server = try await call.session.engine.vault.read { try $0.object(Server.self, id: wanted)?.value }
                return [.object(Handle.server(server?.name ?? wanted))]
            })
    }

    // MARK: Runs

    private static let result = ResultDeclaration("result", .record("plan_result"), "what came of each VM and action")
    private static let errors = [
        ErrorDeclaration("plan-stopped", "a planned failover stopped at a failure; e.value is the plan_result"),
        ErrorDeclaration("plan-incomplete", "it went on to its end past failures; e.value is the plan_result"),
        ErrorDeclaration("refused", "rules choose-direction, test-in-progress"),
        ErrorDeclaration("busy", "somebody else runs the plan"),
    ]

    private static let limit = Parameter.optional(
        "limit", .integer, "how many VMs are worked on at once", default: 16, unit: .count,
        range: 1...10_000)
    private static let direction = Parameter.optional(
        "direction", .choice(PlanDirection.allCases.map(\.rawValue)),
        "which way; needed only where VMs are active at both sides", otherwise: "the way that all of them can move")

    private static let point = Parameter.optional(
        "point", .either([.choice(["latest", "application-consistent"]), .record("group_point")]),
        "the recovery points: of a group point each VM takes its own; in a failover unplanned only",
        otherwise: "each VM's latest")

    static let test = FunctionDeclaration(
        "test", "Starts test VMs of the whole plan, group by group, beside production.",
        named: [
            .optional("network", .text, "where they are connected", otherwise: "nowhere"), point, direction, limit,
        ],
        results: [result], errors: errors, effect: .changes, example: "plan:test { network = \"test-net\" }",
        in: .planKept,
        .waiting { call in try await run(.test, call, from: ["network"], point: Operations.pointArgument(call)) })

    static let cleanUpTest = FunctionDeclaration(
        "clean_up_test", "Removes the test VMs of the whole plan, the last group first.", named: [limit],
        results: [result], errors: errors, effect: .changes, example: "plan:clean_up_test()", in: .planTested,
        .waiting { call in try await run(.cleanUpTest, call) })

    static let failover = FunctionDeclaration(
        "failover",
        "Moves all VMs of the plan to the other side and starts them group by group. Planned: they are shut down first, the "
            + "last group first, nothing is lost, and it stops at the first failure. Unplanned: it goes on past failures. "
            + "A VM that is there already is passed over.",
        named: [
            .required("kind", .choice(["planned", "unplanned"]), "which"),
            .optional(
                "source", .choice(["fence", "declared lost"]),
                "unplanned only: how it becomes certain that the source is down, as for a VM",
                otherwise: "each VM is shut down there if its hypervisor answers"),
            .optional(
                "shutdown_limit", .duration, "how long each guest may take to shut down",
                otherwise: "2min planned, 30s unplanned", range: 1...86_400),
            point, direction, limit,
        ],
        results: [result], errors: errors, effect: .changes, example: "plan:failover { kind = \"planned\" }",
        in: .planKept,
        .waiting { call in
            let planned = call.arguments.text("kind") == "planned"
            if planned, call.arguments.optionalText("source") != nil {
                throw LuaError(
                    .argument, "\(call.name): 'source' has no meaning in a planned failover",
                    hint: "it shuts the VMs down; leave 'source' out")
            }
            let point = try Operations.pointArgument(call)
            if planned, point != nil {
                throw LuaError(
                    .argument, "\(call.name): 'point' has no meaning in a planned failover",
                    hint: "it sends a last point of each VM; leave 'point' out")
            }
            return try await run(
                planned ? .planned : .unplanned, call, from: ["source", "shutdown_limit"], point: point)
        })

    static let commit = FunctionDeclaration(
        "commit", "Makes the failovers of all VMs of the plan final.", named: [limit], results: [result],
        errors: errors, effect: .cannotBeUndone, example: "plan:commit()", in: .planFailedOver,
        .waiting { call in try await run(.commit, call) })

    static let reverse = FunctionDeclaration(
        "reverse",
        "Replicates all committed VMs of the plan the other way. Then plan:failover{kind=\"planned\"} leads back.",
        named: [limit], results: [result], errors: errors, effect: .changes, example: "plan:reverse()",
        in: .planCommitted,
        .waiting { call in try await run(.reverse, call) })

    private static func run(
        _ operation: PlanOperation, _ call: Call, from names: [String] = [], point: String? = nil
    ) async throws -> [LuaValue] {
        let session = call.session
        let plan = try await plan(call)
        var options = PlanRunOptions(
            operation, direction: call.arguments.optionalText("direction").flatMap(PlanDirection.init(rawValue:)),
            limit: call.arguments.integer("limit"), run: call.asker.run, step: call.asker.step)
        for name in names {
            options.arguments[name] =
                call.arguments.optionalText(name) ?? call.arguments.optionalNumber(name).map { "\($0)" }
        }
        options.arguments["point"] = point
        let (wanted, powers) = (options, ScriptPlanPowers(session: session).powers)
        defer { session.planCalls.end() }
        let report = try await session.operations.wait(for: "\(operation.rawValue) of plan \(plan.name)") {
            try await session.engine.run(plan, wanted, powers: powers)
        }
        let value = PlanRecords.value(report)
        guard report.run.state == .succeeded else {
            var error = LuaError(
                report.run.state == .stopped ? "plan-stopped" : "plan-incomplete",
                "\(operation.rawValue) of plan \(plan.name) \(report.run.state == .stopped ? "stopped" : "is incomplete"): "
                    + (report.run.failure?.message ?? "see its result"),
                hint: "mend the cause and run it again: it goes on from there. " + (report.run.failure?.hint ?? ""),
                object: call.receiver)
            error.value = value
            throw error
        }
        return [value]
    }

    static let last = FunctionDeclaration(
        "last", "Returns what the plan's last run came to, or how far it is.",
        results: [ResultDeclaration("result", .record("plan_result"), "nil when it was never run", optional: true)],
        effect: .reads, example: "local last = plan:last()", in: .planKept,
        .waiting { call in
            let plan = try await plan(call)
            guard let run = try await call.session.engine.runs(of: plan).first else { return [.nil] }
            return [PlanRecords.value(try await call.session.engine.report(of: run, plan: plan))]
        })

    // MARK: Text

    static let tree = FunctionDeclaration(
        "tree", "Returns the plan as a tree for people, in the order of a run.",
        results: [ResultDeclaration("text", .text, "one line a group, VM and action")], effect: .reads,
        example: "print(plan:tree())", in: .planKept,
        .waiting { call in [LuaValue(try await call.session.engine.tree(of: plan(call)))] })

    static let export = FunctionDeclaration(
        "export",
        "Returns the plan as JSON for a file: keys in order, one VM a line, so that two of them compare well.",
        results: [ResultDeclaration("text", .text, "what vault:import_plan takes")],
        errors: [ErrorDeclaration("invalid", "an action is a function of a script, which no file can hold")],
        effect: .reads, example: "local text = plan:export()", in: .planKept,
        .waiting { call in [LuaValue(try await call.session.engine.exportPlan(plan(call)))] })

    static let confirm = FunctionDeclaration(
        "confirm", "Confirms the manual action that a run of the plan waits for, here or in another process.",
        positional: [.required("observation", .text, "what was done and seen; it is kept")],
        errors: [ErrorDeclaration("invalid", "the plan waits for nobody")], effect: .changes,
        example: """
            vault:plan {
              name = "shop", source = vmm,
              groups = { { vms = { "orders" }, before = { { manual = "Add the test zone." } } } },
            }
            task.all {
              function() plan:test() end,
              function() while not pcall(plan.confirm, plan, "zone added") do task.sleep("100ms") end end,
            }
            """, in: .planKept,
        .waiting { call in
            _ = try await call.session.engine.confirm(
                plan: plan(call), observation: call.arguments.text("observation"))
            return []
        })

    static let remove = FunctionDeclaration(
        "remove", "Removes the plan with the record of its runs; its VMs stay as they are.",
        errors: [
            ErrorDeclaration("invalid", "another plan waits for it"), ErrorDeclaration("busy", "it is being run"),
        ],
        effect: .cannotBeUndone, ifCutOff: .removal, example: "plan:remove()", in: .planKept,
        .waiting { call in
            try await call.session.engine.removePlan(plan(call))
            return []
        })

    // MARK: Functions of the script

    static let serveCalls = FunctionDeclaration(
        "serve_calls", "Says that this script will serve calls of its functions in the plan's next run. For plans.run.",
        effect: .none, example: "plan:serve_calls()", in: .planKept,
        .immediate { call in
            call.session.planCalls.begin()
            return []
        })

    static let nextCall = FunctionDeclaration(
        "next_call",
        "Waits until the plan's run wants a function of this script called, and returns which; nil when the run is over. "
            + "For require(\"plans\").run.",
        results: [
            ResultDeclaration("id", .integer, "to answer with", unit: .ordinal, optional: true),
            ResultDeclaration("fn", .function, "what to call", optional: true),
            ResultDeclaration("context", .record("plan_context"), "what to call it with", optional: true),
        ],
        effect: .none, example: "local id, fn, context = plan:next_call()", in: .planKept,
        .waiting { call in
            guard let pending = await call.session.planCalls.next() else { return [.nil] }
            return [LuaValue(pending.id), .function(pending.function), PlanRecords.value(pending.context)]
        })

    static let answer = FunctionDeclaration(
        "answer_call", "Gives the answer to a call of next_call.",
        positional: [
            .required("id", .integer, "of the call", unit: .ordinal), .required("ok", .boolean, "whether it went well"),
            .optional("text", .text, "its output, or what went wrong", otherwise: "empty"),
        ],
        effect: .none, example: "plan:answer_call(1, true, \"done\")", in: .planKept,
        .immediate { call in
            let text = call.arguments.optionalText("text") ?? ""
            call.session.planCalls.answer(
                call.arguments.integer("id"),
                call.arguments.optionalBoolean("ok") == true
                    ? .success(text) : .failure(EngineError(.failed, text.isEmpty ? "it failed" : text)))
            return []
        })

    // MARK: How

    private static func plan(_ call: Call) async throws -> RecoveryPlan {
        let plan = try await call.session.engine.plan(named: call.receiver.id)
        try await call.session.noteTree(of: plan)
        return plan
    }
}

extension ScriptContext {
    /// The handle of a plan, whose tree `tostring` then shows: that cannot wait for the vault.
    func handle(of plan: RecoveryPlan) async throws -> LuaObject {
        try await noteTree(of: plan)
        return Handle.plan(plan.name)
    }

    func noteTree(of plan: RecoveryPlan) async throws {
        note(try await engine.tree(of: plan), as: Handle.plan(plan.name))
    }
}
