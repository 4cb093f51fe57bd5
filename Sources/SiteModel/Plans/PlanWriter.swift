/// Makes plain data of a plan: the counterpart of `PlanReader`.
package enum PlanWriter {
    /// A group or action whose field has the value that it would have anyhow is written without it.
    package static func value(_ plan: RecoveryPlan, source: String, target: String) -> PlanValue {
        var table: [String: PlanValue] = [
            "format": .text(PlanReader.format), "name": .text(plan.name), "source": .text(source),
            "target": .text(target), "groups": .list(plan.groups.map(value)),
        ]
        if !plan.dependsOn.isEmpty { table["depends_on"] = texts(plan.dependsOn) }
        return .table(table)
    }

    private static func value(_ group: PlanGroup) -> PlanValue {
        var table: [String: PlanValue] = ["name": .text(group.name)]
        if group.kind != .boot { table["kind"] = .text(group.kind.rawValue) }
        if group.kind == .boot { table["vms"] = texts(group.vms) }
        if let needed = group.dependsOn { table["depends_on"] = texts(needed) }
        if !group.before.isEmpty { table["before"] = .list(group.before.map(value)) }
        if !group.after.isEmpty { table["after"] = .list(group.after.map(value)) }
        return .table(table)
    }

    private static func value(_ action: PlanAction) -> PlanValue {
        var table = fields(of: action.work)
        if action.name != action.work.word { table["name"] = .text(action.name) }
        if action.operations != PlanAction.defaultOperations { table["on"] = texts(action.operations.map(\.rawValue)) }
        if action.directions != PlanDirection.allCases {
            table["directions"] = texts(action.directions.map(\.rawValue))
        }
        if action.timeout != action.work.defaultTimeout { table["timeout"] = .number(action.timeout) }
        if action.retries != 0 { table["retries"] = .number(Double(action.retries)) }
        if !action.isCritical { table["critical"] = .boolean(false) }
        return .table(table)
    }

    private static func fields(of work: PlanWork) -> [String: PlanValue] {
        switch work {
        case .function(let module, let function): ["call": .text("\(module).\(function)")]
        case .inline(_, let number): ["inline": .number(Double(number))]
        case .command(nil, let argv): ["command": texts(argv)]
        case .command(let host?, let argv): ["host": .text(host), "command": texts(argv)]
        case .guestCommand(let vm, let argv): ["guest": .text(vm), "command": texts(argv)]
        case .manual(let instructions): ["manual": .text(instructions)]
        case .wait(let seconds): ["wait": .number(seconds)]
        case .check(let vm, let host, let port, let path):
            [
                "check": .table([
                    "vm": .text(vm), "host": .text(host), "port": .number(Double(port)), "path": .text(path),
                ])
            ]
        }
    }

    private static func texts(_ texts: [String]) -> PlanValue { .list(texts.map { .text($0) }) }

    /// The actions that no file can hold, by place: functions that a script handed over.
    package static func inlineActions(of plan: RecoveryPlan) -> [String] {
        plan.groups.flatMap { group in
            [("before", group.before), ("after", group.after)].flatMap { place, actions in
                actions.enumerated().compactMap { index, action in
                    if case .inline = action.work { "\(group.name).\(place)[\(index + 1)]" } else { nil }
                }
            }
        }
    }
}
