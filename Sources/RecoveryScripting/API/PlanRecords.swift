import LuaHost
import RecoveryEngine
import SiteModel

/// Plain tables of plans: what they are made of, and what a run of one came to.
enum PlanRecords {
    static let all = [group, action, check, context, contextVM, result, vm, actionResult]

    private static func optional(
        _ name: String, _ type: ValueType, _ doc: String, _ unit: Unit? = nil
    ) -> ResultDeclaration {
        ResultDeclaration(name, type, doc, unit: unit, optional: true)
    }

    static let group = RecordDeclaration(
        "plan_group", "VMs of a plan that are started together, and what is done before and after.",
        fields: [
            optional("name", .text, "unique in the plan; \"group 1\" and so on if left out"),
            optional(
                "kind", .choice(GroupKind.allCases.map(\.rawValue)),
                "\"boot\" if left out; a shutdown or failover group holds only actions, around that step of a failover"),
            optional(
                "vms", .list(.either([.text, .object("item"), .object("vm")])), "its members, started in parallel"),
            optional("before", .list(.record("plan_action")), "actions before it begins, in order"),
            optional("after", .list(.record("plan_action")), "actions after its VMs have started, in order"),
            optional(
                "depends_on", .list(.text),
                "groups that must be through first, of another plan as \"plan/group\"; the group before it if left out, "
                    + "none if empty"),
        ])

    static let action = RecordDeclaration(
        "plan_action", "Something done before or after a group: exactly one of call, command, manual, wait and check.",
        fields: [
            optional("name", .text, "what reports call it"),
            optional(
                "call", .either([.text, .function]),
                "\"module.function\", called with a plan_context; or a function of this script (then run the plan with "
                    + "require(\"plans\").run)"),
            optional("command", .list(.text), "a program's full path and its arguments; needs --grant exec"),
            optional(
                "host", .either([.text, .object("host")]),
                "for hosts whose agents run commands: those of this version do not, and a plan that names one is refused"
            ),
            optional("guest", .text, "VM that the command runs in, through its QEMU guest agent"),
            optional("manual", .text, "instructions for a person; the run waits until somebody confirms"),
            optional("wait", .duration, "how long to wait"),
            optional("check", .record("plan_check"), "asked until the guest answers"),
            optional(
                "on", .list(.choice(PlanOperation.allCases.map(\.rawValue))),
                "what the plan must be run for; test, planned and unplanned if left out"),
            optional(
                "directions", .list(.choice(PlanDirection.allCases.map(\.rawValue))), "which way; both if left out"),
            optional("timeout", .duration, "how long one attempt may take; 10min if left out, a week for people"),
            optional("retries", .integer, "how often it is tried again; 0 if left out", .count),
            optional("critical", .boolean, "whether its failure is one of the run; true if left out"),
        ])

    static let check = RecordDeclaration(
        "plan_check", "An HTTP request to a guest, made from its site until the status is below 400.",
        fields: [
            ResultDeclaration("vm", .text, "a VM of the plan"),
            ResultDeclaration("host", .text, "the guest's address"),
            optional("port", .integer, "TCP port; 80 if left out", .ordinal),
            optional("path", .text, "path of the request; \"/\" if left out"),
        ])

    static let context = RecordDeclaration(
        "plan_context", "What an action's function is called with.",
        fields: [
            ResultDeclaration("plan", .text, "name of the plan"),
            ResultDeclaration("operation", .choice(PlanOperation.allCases.map(\.rawValue)), "what it is run for"),
            ResultDeclaration("direction", .choice(PlanDirection.allCases.map(\.rawValue)), "which way"),
            ResultDeclaration("group", .text, "name of the group"),
            ResultDeclaration("place", .choice(["before", "after"]), "before or after the group"),
            ResultDeclaration("vms", .list(.record("plan_context_vm")), "the VMs of the group"),
        ])

    static let contextVM = RecordDeclaration(
        "plan_context_vm", "A VM as an action sees it.",
        fields: [
            ResultDeclaration("name", .text, "the VM"),
            ResultDeclaration("state", .choice(ReplicationState.allCases.map(\.rawValue)), "where it stands"),
            ResultDeclaration("owner", .text, "host whose copy may be written"),
            ResultDeclaration("source", .text, "host that is replicated from"),
            ResultDeclaration("target", .text, "host that is replicated to"),
            optional("point", .integer, "number of the recovery point that it was failed over to", .ordinal),
            optional("at", .number, "the instant that the point shows", .epochSeconds),
        ])

    static let result = RecordDeclaration(
        "plan_result", "What a run of a plan came to.",
        fields: [
            ResultDeclaration("id", .text, "identity of the run in the vault"),
            ResultDeclaration("operation", .choice(PlanOperation.allCases.map(\.rawValue)), "what it was run for"),
            ResultDeclaration("direction", .choice(PlanDirection.allCases.map(\.rawValue)), "which way"),
            ResultDeclaration(
                "state", .choice(["running", "succeeded", "stopped", "incomplete", "superseded"]), "how it ended"),
            optional("phase", .text, "what it does now"),
            optional("failure", .text, "what failed first"),
            optional("took", .number, "from begin to end", .seconds),
            ResultDeclaration("vms", .list(.record("plan_vm")), "its VMs, group by group"),
            ResultDeclaration("actions", .list(.record("plan_action_result")), "its actions, as they began"),
        ])

    static let vm = RecordDeclaration(
        "plan_vm", "What became of a VM in a run of a plan.",
        fields: [
            ResultDeclaration("vm", .text, "the VM"),
            ResultDeclaration("group", .text, "its group"),
            ResultDeclaration(
                "outcome", .choice(["none", "begun", "done", "failed", "skipped"]), "\"skipped\" is there already"),
            optional("detail", .text, "why it failed or was skipped"),
            optional("took", .number, "from its first stage to its last, waits for other groups included", .seconds),
            optional("loss", .number, "how much of its work is lost", .seconds),
            optional("point", .integer, "number of its recovery point", .ordinal),
            optional("state", .text, "where it stands"),
            optional("owner", .text, "host whose copy may be written"),
            ResultDeclaration("stages", .list(.record("stage")), "the stages of its job"),
        ])

    static let actionResult = RecordDeclaration(
        "plan_action_result", "What became of an action in a run of a plan.",
        fields: [
            ResultDeclaration("name", .text, "group, place and number, as web/after/1"),
            ResultDeclaration("group", .text, "its group"),
            ResultDeclaration("outcome", .choice(["begun", "done", "failed", "waiting"]), "how it ended"),
            optional("detail", .text, "what it does, or why it failed"),
            optional("output", .text, "all that it said"),
            optional("observation", .text, "what the person wrote who confirmed it"),
            ResultDeclaration("attempts", .integer, "how often it was tried", unit: .count),
            optional("took", .number, "how long it took", .seconds),
        ])

    // MARK: Values

    static func value(_ context: PlanActionContext) -> LuaValue {
        .table(
            LuaTable([
                "plan": LuaValue(context.plan), "operation": LuaValue(context.operation.rawValue),
                "direction": LuaValue(context.direction.rawValue), "group": LuaValue(context.group),
                "place": LuaValue(context.place),
                "vms": .list(
                    context.vms.map { vm in
                        .table(
                            LuaTable([
                                "name": LuaValue(vm.name), "state": LuaValue(vm.state.rawValue),
                                "owner": LuaValue(vm.owner), "source": LuaValue(vm.source),
                                "target": LuaValue(vm.target), "point": vm.point.map { LuaValue($0) } ?? .nil,
                                "at": vm.at.map(Records.seconds) ?? .nil,
                            ]))
                    }),
            ]))
    }

    static func value(_ report: PlanReport) -> LuaValue {
        let run = report.run
        return .table(
            LuaTable([
                "id": LuaValue(run.id), "operation": LuaValue(run.operation.rawValue),
                "direction": LuaValue(run.direction.rawValue), "state": LuaValue(run.state.rawValue),
                "phase": LuaValue(run.phase), "failure": LuaValue(run.failure?.message),
                "took": elapsed(run.startedAt, run.endedAt), "vms": .list(report.rows.map(value)),
                "actions": .list(report.actions.map(value)),
            ]))
    }

    private static func value(_ row: PlanReport.Row) -> LuaValue {
        .table(
            LuaTable([
                "vm": LuaValue(row.vm), "group": LuaValue(row.group),
                "outcome": LuaValue(row.step?.state.rawValue ?? "none"), "detail": LuaValue(row.step?.detail),
                "took": row.seconds.map { .number($0) } ?? .nil,
                "loss": row.step?.lossSeconds.map { .number($0) } ?? .nil,
                "point": row.point.map { LuaValue($0) } ?? .nil, "state": LuaValue(row.state?.rawValue),
                "owner": LuaValue(row.owner),
                "stages": .list(
                    row.stages.map { stage in
                        .table(
                            LuaTable([
                                "name": LuaValue(stage.name), "seconds": elapsed(stage.startedAt, stage.endedAt),
                            ]))
                    }),
            ]))
    }

    private static func value(_ step: PlanStep) -> LuaValue {
        .table(
            LuaTable([
                "name": LuaValue(String(step.name.drop { $0 != ":" }.dropFirst())), "group": LuaValue(step.group),
                "outcome": LuaValue(step.state.rawValue), "detail": LuaValue(step.detail),
                "output": LuaValue(step.output), "observation": LuaValue(step.observation),
                "attempts": LuaValue(step.attempts), "took": elapsed(step.startedAt, step.endedAt),
            ]))
    }

    private static func elapsed(_ from: Timestamp?, _ to: Timestamp?) -> LuaValue {
        guard let from, let to else { return .nil }
        return .number(to.seconds(since: from))
    }
}
