import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// What the vault does with plans.
enum VaultPlans {
    static let plan = FunctionDeclaration(
        "plan", "Makes a recovery plan or changes it to what is said, or looks one up by name.",
        named: [
            .required("name", .text, "unique among plans"),
            .required("source", .either([.object("server"), .text]), "server of the primary clouds"),
            .optional(
                "target", .either([.object("server"), .text]), "server of the recovery clouds", otherwise: "the source"),
            .required("groups", .list(.record("plan_group")), "its groups, in order"),
            .optional(
                "depends_on", .list(.text), "plans whose VMs must all have been started before this one begins",
                otherwise: "none"),
        ],
        lookup: .required("name", .text, "name of a plan"),
        results: [ResultDeclaration("plan", .object("plan"), "the plan")],
        errors: [
            ErrorDeclaration("unknown", "a server, VM or host of that name is not there; the hint has the nearest"),
            ErrorDeclaration("invalid", "a field of a group or action is wrong; the message names it"),
            ErrorDeclaration("refused", "rules one-group-per-vm, plan-cycle"),
        ],
        effect: .changes,
        example: """
            local plan = vault:plan {
              name = "shop", source = vmm, target = vmm,
              groups = {
                { name = "database", vms = { "orders" }, after = { { wait = "1s", on = { "planned", "unplanned" } } } },
              },
            }
            """,
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            if call.arguments.isLookup {
                return [.object(try await session.handle(of: session.engine.plan(named: name)))]
            }
            var table: [String: PlanValue] = [:]
            for field in ["name", "source", "target", "groups", "depends_on"] {
                guard let value = call.arguments[field] else { continue }
                table[field] = PlanConversion.value(value)
            }
            let draft: PlanReader.Draft
            do {
                draft = try PlanReader(run: session.run).plan(.table(table))
            } catch let error as PlanProblem {
                throw LuaError(.argument, "\(call.name): \(error)", hint: error.hint)
            }
            return [.object(try await session.handle(of: session.engine.ensurePlan(draft)))]
        })

    static let plans = FunctionDeclaration(
        "plans", "Lists the recovery plans, by name.",
        results: [ResultDeclaration("plans", .list(.object("plan")), "the plans")], effect: .reads,
        example: "for _, each in ipairs(vault:plans()) do print(each.name) end", in: .planKept,
        .waiting { call in
            let plans = try await call.session.engine.vault.read { try $0.objects(RecoveryPlan.self).map(\.value) }
            var handles: [LuaValue] = []
            for plan in plans { handles.append(.object(try await call.session.handle(of: plan))) }
            return [.list(handles)]
        })

    static let importPlan = FunctionDeclaration(
        "import_plan", "Makes or changes the plan that a text says, as plan:export gave it.",
        positional: [.required("text", .text, "JSON")],
        results: [ResultDeclaration("plan", .object("plan"), "the plan")],
        errors: [ErrorDeclaration("invalid", "the text is no plan; the message names the field")], effect: .changes,
        example: "local copy = vault:import_plan((plan:export():gsub('\"shop\"', '\"shop copy\"')))", in: .planKept,
        .waiting { call in
            [.object(try await call.session.handle(of: call.session.engine.importPlan(call.arguments.text("text"))))]
        })
}
