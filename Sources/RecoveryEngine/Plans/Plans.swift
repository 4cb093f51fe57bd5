package import SiteModel
import VaultStore

/// Keeping plans: each is checked against the vault before it is written.
extension RecoveryEngine {
    /// Makes the vault's plan of that name what is wanted, and does nothing when it already is.
    ///
    /// - Throws: `EngineError` of kind `invalid` or `refused` that names the field, and of kind `unknown` for names that the
    ///   vault does not have.
    @discardableResult
    package func ensurePlan(_ draft: PlanReader.Draft) async throws -> RecoveryPlan {
        let id = dependencies.identifiers.next()
        return try await vault.write { vault in
            let (source, target) = (
                try Self.server(draft.source, field: "source", vault),
                try Self.server(draft.target, field: "target", vault)
            )
            let present = try vault.object(RecoveryPlan.self, named: draft.name, parent: nil)
            let wanted = RecoveryPlan(
                id: present?.value.id ?? id, name: draft.name, source: source.id, target: target.id,
                groups: draft.groups, dependsOn: draft.dependsOn)
            let others = try vault.objects(RecoveryPlan.self).map(\.value).filter { $0.id != wanted.id }
            // A changed plan may close a circle or break what others wait for, so all are looked at.
            for plan in [wanted] + others {
                let rest = [wanted] + others.filter { $0.id != plan.id }
                if let problem = plan.problem(among: rest.filter { $0.id != plan.id }) {
                    throw Self.error(problem, plan: plan.name)
                }
            }
            try Self.checkNames(of: wanted, source: source, target: target, vault)
            guard var present else { return try vault.insert(wanted).value }
            guard present.value != wanted else { return wanted }
            present.value = wanted
            return try vault.update(present).value
        }
    }

    /// Reads a plan from the text of a file and keeps it.
    @discardableResult
    package func importPlan(_ text: String) async throws -> RecoveryPlan {
        let value = try PlanJSON.value(text)
        do {
            return try await ensurePlan(PlanReader().plan(value))
        } catch let problem as PlanProblem {
            throw Self.error(problem, plan: nil)
        }
    }

    /// The plan as the text of a file; what `importPlan` reads makes an equal one.
    package func exportPlan(_ plan: RecoveryPlan) async throws -> String {
        if let place = PlanWriter.inlineActions(of: plan).first {
            throw EngineError(
                .invalid, "plan \(plan.name): action \(place) is a function of a script, which no file can hold",
                hint: "put it into a module and name it: call = \"module.function\"", object: plan.name)
        }
        let names = try await serverNames(of: plan)
        return PlanText.json(PlanWriter.value(plan, source: names.source, target: names.target))
    }

    /// The plan as a tree for people.
    package func tree(of plan: RecoveryPlan) async throws -> String {
        let names = try await serverNames(of: plan)
        return plan.tree(source: names.source, target: names.target)
    }

    package func plan(named name: String) async throws -> RecoveryPlan {
        let (found, known) = try await vault.read { vault -> (RecoveryPlan?, [String]) in
            if let found = try vault.object(RecoveryPlan.self, named: name, parent: nil)?.value { return (found, []) }
            return (nil, try vault.objects(RecoveryPlan.self).map(\.value.name))
        }
        if let found { return found }
        throw EngineError(
            .unknown, "the vault has no plan '\(name)'",
            hint: Nearest.suggestion(for: name, among: known).map { "did you mean '\($0)'?" }
                ?? (known.isEmpty ? "it has none yet" : "it has: \(known.joined(separator: ", "))"), object: name)
    }

    /// Removes a plan with the record of its runs; refused while another plan waits for it, or it is being run.
    package func removePlan(_ plan: RecoveryPlan) async throws {
        let now = dependencies.clock.now
        try await vault.write { vault in
            guard let present = try vault.object(RecoveryPlan.self, id: plan.id) else { return }
            if let lease = try vault.lease(PlanRunRecord.leaseName(plan.id)), lease.expiresAt > now {
                throw EngineError(
                    .busy, "plan \(plan.name) is being run", hint: "wait for its end", object: plan.name)
            }
            let rest = try vault.objects(RecoveryPlan.self).map(\.value).filter { $0.id != plan.id }
            for other in rest {
                if let problem = other.problem(among: rest.filter { $0.id != other.id }) {
                    throw EngineError(
                        .invalid, "plan \(other.name) waits for plan \(plan.name): \(problem)",
                        hint: "change that plan first", object: plan.name)
                }
            }
            for run in try vault.objects(PlanRun.self, parent: plan.id) {
                for step in try vault.objects(PlanStep.self, parent: run.value.id) { try vault.delete(step) }
                try vault.delete(run)
            }
            try vault.delete(present)
        }
    }

    // MARK: How

    private func serverNames(of plan: RecoveryPlan) async throws -> (source: String, target: String) {
        try await vault.read { vault in
            (
                try vault.object(Server.self, id: plan.source)?.value.name ?? plan.source,
                try vault.object(Server.self, id: plan.target)?.value.name ?? plan.target
            )
        }
    }

    private static func server(_ name: String, field: String, _ vault: any VaultReader) throws -> Server {
        if let found = try vault.object(Server.self, named: name, parent: nil)?.value { return found }
        let known = try vault.objects(Server.self).map(\.value.name)
        throw EngineError(
            .unknown, "\(field): the vault has no server '\(name)'",
            hint: Nearest.suggestion(for: name, among: known).map { "did you mean '\($0)'?" }
                ?? (known.isEmpty ? "it has none yet" : "it has: \(known.joined(separator: ", "))"), object: name)
    }

    /// Refuses VMs that are no protected items of the plan's pair of servers, and commands on hosts: a run would stop at
    /// them when its VMs are off.
    private static func checkNames(
        of plan: RecoveryPlan, source: Server, target: Server, _ vault: any VaultReader
    ) throws {
        let items = Dictionary(
            try vault.objects(ProtectedItem.self).map { ($0.value.id, $0.value) }, uniquingKeysWith: { a, _ in a })
        let relationships = Dictionary(
            try vault.objects(Relationship.self).map { ($0.value.name, $0.value) }, uniquingKeysWith: { a, _ in a })
        let pairs = Dictionary(
            try vault.objects(CloudPair.self).map { ($0.value.id, $0.value) }, uniquingKeysWith: { a, _ in a })
        let servers = Dictionary(
            try vault.objects(Cloud.self).map { ($0.value.id, $0.value.server) }, uniquingKeysWith: { a, _ in a })
        for group in plan.groups {
            for vm in group.vms {
                guard let item = relationships[vm]?.item.flatMap({ items[$0] }) else {
                    throw EngineError(
                        .unknown, "plan \(plan.name), group \"\(group.name)\": \(vm) is not a protected item",
                        hint: Nearest.suggestion(for: vm, among: items.values.map(\.name).sorted())
                            .map { "did you mean '\($0)'?" } ?? "protect it first: cloud:vm(\"\(vm)\"):protect()",
                        object: vm)
                }
                guard let pair = pairs[item.pair], servers[pair.primary] == source.id,
                    servers[pair.recovery] == target.id
                else {
                    throw EngineError(
                        .invalid,
                        "plan \(plan.name), group \"\(group.name)\": \(vm) is not replicated from server \(source.name) "
                            + "to server \(target.name)",
                        hint: "a plan holds items of its pair of servers only; put \(vm) into a plan of its own pair",
                        object: vm)
                }
            }
            for action in group.before + group.after {
                guard case .command(let host?, _) = action.work else { continue }
                throw EngineError(
                    .invalid,
                    "plan \(plan.name), group \"\(group.name)\": action '\(action.name)' runs a command on host "
                        + "'\(host)', and agents run no commands in this version",
                    hint: PlanProblem.withoutHost(host), object: plan.name)
            }
        }
    }

    static func error(_ problem: PlanProblem, plan: String?) -> EngineError {
        EngineError(
            problem.rule == nil ? .invalid : .refused, plan.map { "plan \($0): \(problem)" } ?? "\(problem)",
            hint: problem.hint, rule: problem.rule, object: plan)
    }
}
