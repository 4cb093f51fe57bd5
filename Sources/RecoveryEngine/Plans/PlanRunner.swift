import SiteModel
import VaultStore

/// Takes a plan through one run.
///
///     planned, unplanned:  shutdown step -> failover of all VMs, up to their start -> boot groups in their order
///     test:                boot groups in their order, each by test failover
///     clean-up:            boot groups in the reverse order
///     commit, reverse:     all groups side by side
///
/// Nothing but the record says what was done: a run that is taken up again passes over what the world already shows.
struct PlanRunner: Sendable {
    let engine: RecoveryEngine
    let plan: RecoveryPlan
    let record: PlanRunRecord
    let actions: PlanActions
    /// How many VMs are worked on at once.
    let limit: Int
    let operation: PlanOperation
    let direction: PlanDirection
    let arguments: [String: String]
    let runID: String?
    private var asker: RunStep? { runID.map { RunStep(run: $0) } }

    func run() async throws {
        try await noteMissing()
        if await record.isStopped { return }
        switch operation {
        case .planned, .unplanned: try await failOver()
        case .test:
            try await groups(PlanSchedule(plan)) { try await test($0) }
        case .cleanUpTest:
            try await groups(PlanSchedule(plan, backwards: true)) {
                try await each($0.vms, in: $0, .cleanUpTest) { $0.state == .testing ? nil : "there is no test of it" }
            }
        case .commit:
            try await sideBySide(.commit) { relationship in
                relationship.state == .failedOver ? nil : "it has no open failover"
            }
        case .reverse:
            try await sideBySide(.reverse) { relationship in
                [.committed, .reversing, .failedOver].contains(relationship.state)
                    ? nil : "it has no failover to reverse"
            }
        }
    }

    // MARK: Failover

    private func failOver() async throws {
        try await checkBeforehand()
        if await record.isStopped { return }
        try await step(.shutdown) {
            // The VMs that were started last are stopped first: nobody loses what he still talks to.
            if operation == .planned {
                try await PlanSchedule(plan, backwards: true).run(isStopped: { await record.isStopped }) { group in
                    try await forEach(group.vms, limit: limit) { try await move($0, group, holdBefore: .copy) }
                }
            } else if arguments["source"] == "fence" {
                try await fenceEachHostOnce()
            }
        }
        try await step(.failover) {
            let members = plan.bootGroups.flatMap { group in group.vms.map { ($0, group) } }
            try await forEach(members, limit: limit) { try await move($0.0, $0.1, holdBefore: .start) }
        }
        try await groups(PlanSchedule(plan)) { group in
            try await forEach(group.vms, limit: limit) { try await start($0, group) }
        }
    }

    /// One of the steps that a failover has anyhow, with the actions that the plan has around it.
    private func step(_ kind: GroupKind, _ body: () async throws -> Void) async throws {
        if await record.isStopped { return }
        try await record.enter("\(kind.rawValue) step")
        let group = plan.step(kind)
        if let group { try await actions.run(group.before, "before", of: group) }
        if await record.isStopped { return }
        try await body()
        if let group, await !record.isStopped { try await actions.run(group.after, "after", of: group) }
    }

    /// Asks the rules about every VM, and whether each action can begin, before the first VM is touched.
    private func checkBeforehand() async throws {
        guard operation == .planned else { return }
        try await record.enter("checks")
        try await checkOtherPlans()
        await checkPowers()
        try await forEach(plan.vms, limit: limit) { vm in
            guard let item = try await engine.item(vm, group: ""), item.moving == nil, !item.isOver(direction) else {
                return
            }
            do {
                try await engine.check(.plannedFailover, on: item.relationship)
            } catch let error as EngineError {
                await fail(vm, JobFailure(kind: error.kind.rawValue, message: error.message, hint: error.hint))
            }
        }
    }

    /// Refuses to begin where an action that stops the run when it fails cannot even be tried: its VMs would be off at
    /// both sides by then.
    private func checkPowers() async {
        for group in plan.groups {
            for (place, list) in [("before", group.before), ("after", group.after)] {
                for (index, action) in list.enumerated()
                where action.isCritical && action.applies(to: operation, direction) {
                    guard let lacking = actions.powers.lacking(for: action.work) else { continue }
                    if await record.isDone(PlanStepName.action(group.name, place, index + 1)) { continue }
                    await record.fail(
                        JobFailure(
                            kind: "refused",
                            message: "action '\(action.name)' of group \"\(group.name)\" cannot be done: "
                                + lacking.message, hint: lacking.hint))
                }
            }
        }
    }

    /// Refuses to begin what would wait for another plan that nobody runs.
    private func checkOtherPlans() async throws {
        for group in plan.bootGroups {
            if case .missing(let what) = try await otherPlans(neededBy: group) {
                await record.fail(Self.waitsInVain(group, what))
            }
        }
    }

    /// The first VM of each host fences it, one host after the other; the others then find it gone.
    private func fenceEachHostOnce() async throws {
        var fenced: Set<String> = []
        for group in plan.bootGroups {
            for vm in group.vms {
                guard let item = try await engine.item(vm, group: group.name), !item.isOver(direction),
                    fenced.insert(item.relationship.source).inserted
                else { continue }
                try await move(vm, group, holdBefore: .settlePoint)
            }
        }
    }

    /// Moves a VM up to a stage, unless it is there already.
    private func move(_ vm: String, _ group: PlanGroup, holdBefore stage: StageName) async throws {
        guard let item = try await engine.item(vm, group: group.name) else { return }
        if await record.hasFailed(vm) { return }
        guard !item.isOver(direction) else { return try await noteOver(vm, group) }
        try await perform(vm, group) {
            if let open = item.moving, open.operation != operation.engineOperation {
                // A failover of the other kind is under way. It is driven on; if it gives up, this one is made.
                if let job = try? await engine.perform(
                    open.operation, on: item.relationship.id, arguments: open.arguments, run: asker, hold: stage)
                {
                    return job
                }
                if let still = try await engine.item(vm, group: group.name)?.moving, still.id == open.id {
                    return try await engine.perform(
                        open.operation, on: item.relationship.id, arguments: open.arguments, run: asker, hold: stage)
                }
            }
            return try await engine.perform(
                operation.engineOperation, on: item.relationship.id,
                arguments: item.moving?.arguments ?? arguments, run: asker, hold: stage)
        }
    }

    /// Starts a VM that has been moved.
    private func start(_ vm: String, _ group: PlanGroup) async throws {
        if await record.hasFailed(vm) { return }
        guard let item = try await engine.item(vm, group: group.name) else { return }
        guard let job = item.moving else { return try await noteOver(vm, group) }
        try await perform(vm, group, ends: true) {
            try await engine.perform(
                job.operation, on: item.relationship.id, arguments: job.arguments, run: asker)
        }
    }

    private func noteOver(_ vm: String, _ group: PlanGroup) async throws {
        let present = await record.step(PlanStepName.vm(vm))
        // One that this run moved, before its engine died or while it was at work, was not passed over.
        guard present?.state != .done, present?.state != .skipped else { return }
        let now = engine.dependencies.clock.now
        let job = try await lastMove(present?.job)
        try await record.note(PlanStepName.vm(vm), group: group.name) { step in
            step.state = job == nil ? .skipped : .done
            step.detail = job == nil ? "it is already there" : nil
            step.endedAt = job?.endedAt ?? now
            if let job { step.lossSeconds = Self.loss(of: job) }
        }
    }

    private func lastMove(_ id: String?) async throws -> Job? {
        guard let id else { return nil }
        return try await engine.vault.read { try $0.object(Job.self, id: id)?.value }
    }

    // MARK: Groups

    /// Takes each boot group through its actions and its members.
    private func groups(
        _ schedule: PlanSchedule, _ members: @escaping @Sendable (PlanGroup) async throws -> Void
    ) async throws {
        try await schedule.run(isStopped: { await record.isStopped }) { group in
            try await awaitOtherPlans(group)
            if await record.isStopped { return }
            try await record.enter("group \(group.name)")
            try await actions.run(group.before, "before", of: group)
            if await record.isStopped { return }
            try await members(group)
            if await record.isStopped { return }
            try await actions.run(group.after, "after", of: group)
        }
    }

    private func sideBySide(
        _ wanted: Operation, _ reasonToSkip: @escaping @Sendable (Relationship) -> String?
    ) async throws {
        try await record.enter("all groups")
        for group in plan.bootGroups { try await actions.run(group.before, "before", of: group) }
        let members = plan.bootGroups.flatMap { group in group.vms.map { ($0, group) } }
        try await forEach(members, limit: limit) { vm, group in
            try await one(vm, group, wanted, reasonToSkip)
        }
        for group in plan.bootGroups { try await actions.run(group.after, "after", of: group) }
    }

    private func test(_ group: PlanGroup) async throws {
        try await each(group.vms, in: group, .testFailover) {
            $0.state == .testing ? "a test VM of it is there already" : nil
        }
    }

    private func each(
        _ vms: [String], in group: PlanGroup, _ wanted: Operation,
        _ reasonToSkip: @escaping @Sendable (Relationship) -> String?
    ) async throws {
        try await forEach(vms, limit: limit) { try await one($0, group, wanted, reasonToSkip) }
    }

    private func one(
        _ vm: String, _ group: PlanGroup, _ wanted: Operation, _ reasonToSkip: (Relationship) -> String?
    ) async throws {
        guard let item = try await engine.item(vm, group: group.name) else { return }
        if item.relationship.activeJob == nil, let reason = reasonToSkip(item.relationship) {
            let present = await record.step(PlanStepName.vm(vm))
            guard present?.state != .done, present?.state != .skipped else { return }
            let now = engine.dependencies.clock.now
            // It was begun in this run and is over now: the engine died before it could say so.
            try await record.note(PlanStepName.vm(vm), group: group.name) { step in
                step.state = present?.job == nil ? .skipped : .done
                step.detail = present?.job == nil ? reason : nil
                step.endedAt = now
            }
            return
        }
        try await perform(vm, group, ends: true) {
            // A plan's test is ended by the plan's own clean-up, in a run of its own.
            let options = wanted == .testFailover ? arguments.merging(["keep": "true"]) { $1 } : arguments
            return try await engine.perform(wanted, on: item.relationship.id, arguments: options, run: asker)
        }
    }

    // MARK: One VM

    /// Does something with a VM and writes what came of it.
    private func perform(
        _ vm: String, _ group: PlanGroup, ends: Bool = false, _ body: () async throws -> Job
    ) async throws {
        let began = engine.dependencies.clock.now
        try await record.note(PlanStepName.vm(vm), group: group.name) { step in
            step.state = .begun
            step.startedAt = step.startedAt ?? began
            step.endedAt = nil
            step.detail = nil
        }
        do {
            let job = try await body()
            let now = engine.dependencies.clock.now
            try await record.note(PlanStepName.vm(vm), group: group.name) { step in
                step.job = job.id
                step.lossSeconds = Self.loss(of: job)
                guard ends || !job.state.isOpen else { return }
                step.state = .done
                step.endedAt = now
            }
        } catch let error as EngineError {
            let now = engine.dependencies.clock.now
            let job = try await engine.item(vm, group: group.name)?.relationship.activeJob
            try await record.note(PlanStepName.vm(vm), group: group.name) { step in
                step.state = .failed
                step.endedAt = now
                step.detail = error.message
                if let job { step.job = job }
            }
            await fail(vm, JobFailure(kind: error.kind.rawValue, message: error.message, hint: error.hint))
        }
    }

    private func fail(_ vm: String, _ failure: JobFailure) async {
        let message = failure.message.contains(vm) ? failure.message : "\(vm): \(failure.message)"
        await record.fail(JobFailure(kind: failure.kind, message: message, hint: failure.hint), vm: vm)
    }

    /// Seconds of the VM's work that are not in the point that it was failed over to.
    private static func loss(of job: Job) -> Double? {
        switch job.operation {
        case .plannedFailover: 0
        case .unplannedFailover:
            job.facts["at"].flatMap(Int64.init).map { job.startedAt.seconds(since: Timestamp(milliseconds: $0)) }
        default: nil
        }
    }

    /// VMs of the plan that are protected no more.
    private func noteMissing() async throws {
        for vm in try await engine.items(of: plan).missing {
            await record.fail(
                JobFailure(
                    kind: "unknown", message: "\(vm) is in the plan and not protected any more",
                    hint: "protect it, or take it out of the plan"))
        }
    }
}

extension PlanOperation {
    var engineOperation: Operation {
        switch self {
        case .test: .testFailover
        case .cleanUpTest: .cleanUpTest
        case .planned: .plannedFailover
        case .unplanned: .unplannedFailover
        case .commit: .commit
        case .reverse: .reverse
        }
    }
}
