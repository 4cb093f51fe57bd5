extension RecoveryPlan {
    /// What is wrong with a plan among the others, as far as the plans alone can tell; nil when it may be kept.
    package func problem(among others: [RecoveryPlan]) -> PlanProblem? {
        sizeProblem ?? namesProblem ?? membersProblem ?? dependencyProblem(others) ?? cycleProblem(others)
    }

    private var sizeProblem: PlanProblem? {
        if bootGroups.isEmpty {
            return PlanProblem("groups", "a plan needs at least one group with VMs", hint: "add { vms = { ... } }")
        }
        if vms.count > PlanLimits.vms {
            return PlanProblem("groups", "hold \(vms.count) VMs; a plan may hold \(PlanLimits.vms)")
        }
        return nil
    }

    private var namesProblem: PlanProblem? {
        var seen: Set<String> = []
        for (index, group) in groups.enumerated() where !seen.insert(group.name).inserted {
            return PlanProblem(
                "groups[\(index + 1)].name", "a second group is called \"\(group.name)\"",
                hint: "names of groups are unique within a plan")
        }
        for kind in [GroupKind.shutdown, .failover] where groups.count(where: { $0.kind == kind }) > 1 {
            return PlanProblem(
                "groups", "two groups are of kind \(kind.rawValue); a run takes that step once",
                hint: "put the actions of both into one group")
        }
        return nil
    }

    private var membersProblem: PlanProblem? {
        var places: [String: String] = [:]
        for (index, group) in groups.enumerated() {
            for vm in group.vms {
                guard let other = places.updateValue(group.name, forKey: vm) else { continue }
                return PlanProblem(
                    "groups[\(index + 1)].vms",
                    other == group.name
                        ? "\(vm) is in group \"\(other)\" twice"
                        : "\(vm) is in groups \"\(other)\" and \"\(group.name)\"",
                    hint: "a VM is in one group of a plan; it may be in other plans as well",
                    rule: "one-group-per-vm")
            }
        }
        for (index, group) in groups.enumerated() {
            for action in group.before + group.after {
                let named: String? =
                    switch action.work {
                    case .guestCommand(let vm, _), .check(let vm, _, _, _): vm
                    default: nil
                    }
                guard let named, places[named] == nil else { continue }
                return PlanProblem(
                    "groups[\(index + 1)]", "action '\(action.name)' is about \(named), which is not in the plan",
                    hint: Nearest.suggestion(for: named, among: places.keys.sorted()).map { "did you mean '\($0)'?" }
                        ?? "name a VM of the plan")
            }
        }
        return nil
    }

    private func dependencyProblem(_ others: [RecoveryPlan]) -> PlanProblem? {
        let all = [self] + others.filter { $0.name != name }
        let known = Set(all.flatMap { plan in plan.bootGroups.map { PlanGraph.node(plan.name, $0.name) } })
        for (index, group) in groups.enumerated() {
            for wanted in group.dependsOn ?? [] {
                let node = wanted.contains("/") ? wanted : PlanGraph.node(name, wanted)
                guard !known.contains(node) else { continue }
                let names = bootGroups.map(\.name) + known.sorted()
                return PlanProblem(
                    "groups[\(index + 1)].depends_on", "there is no boot group '\(wanted)'",
                    hint: Nearest.suggestion(for: wanted, among: names).map { "did you mean '\($0)'?" }
                        ?? "name a group of this plan, or plan/group of another")
            }
        }
        for wanted in dependsOn where !others.contains(where: { $0.name == wanted }) || wanted == name {
            return PlanProblem(
                "depends_on", wanted == name ? "a plan cannot depend on itself" : "there is no plan '\(wanted)'",
                hint: Nearest.suggestion(for: wanted, among: others.map(\.name)).map { "did you mean '\($0)'?" })
        }
        return nil
    }

    private func cycleProblem(_ others: [RecoveryPlan]) -> PlanProblem? {
        guard let cycle = PlanGraph([self] + others.filter { $0.name != name }).cycle else { return nil }
        return PlanProblem(
            "", "the groups wait for each other in a circle: \(cycle.joined(separator: " -> "))",
            hint: "take one of these dependencies out", rule: "plan-cycle")
    }
}
