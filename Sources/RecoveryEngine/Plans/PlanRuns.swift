package import SiteModel
import VaultStore

/// How a plan is to be run.
package struct PlanRunOptions: Sendable {
    package var operation: PlanOperation
    /// Left out, the way that all its VMs can move.
    package var direction: PlanDirection?
    /// Options of the operations on the VMs: `source`, `shutdown_limit`, `network`.
    package var arguments: [String: String]
    /// How many VMs are worked on at once.
    package var limit: Int
    /// The script's run that asks.
    package var run: String?
    /// The step of that run that asks: what it has brought to an end before is not begun again.
    package var step: String?

    package init(
        _ operation: PlanOperation, direction: PlanDirection? = nil, arguments: [String: String] = [:],
        limit: Int = 16, run: String? = nil, step: String? = nil
    ) {
        self.operation = operation
        self.direction = direction
        self.arguments = arguments
        self.limit = limit
        self.run = run
        self.step = step
    }
}

extension RecoveryEngine {
    /// Runs a plan to its end, or goes on with the last run of this kind where that one stopped.
    ///
    /// What failed on the way is in the report; its state says whether the run succeeded.
    ///
    /// - Throws: `EngineError` when the run cannot begin (somebody else runs the plan, its direction is not clear), or when
    ///   this engine loses the right to go on with it.
    package func run(
        _ plan: RecoveryPlan, _ options: PlanRunOptions, powers: PlanPowers = PlanPowers()
    ) async throws -> PlanReport {
        guard (1...PlanLimits.vms).contains(options.limit) else {
            throw EngineError(
                .invalid, "the limit of VMs at once is \(options.limit)", hint: "from 1 to \(PlanLimits.vms)")
        }
        if let ended = try await endedRun(of: plan, askedBy: options) { return try await report(of: ended, plan: plan) }
        let lease = try await planLease(plan)
        let record: PlanRunRecord
        do {
            record = try await openRun(plan, options, lease)
        } catch {
            try? await vault.write { try $0.release(lease) }
            throw error
        }
        await record.keepAlive()
        let run = await record.run
        let runner = PlanRunner(
            engine: self, plan: plan, record: record,
            actions: PlanActions(engine: self, plan: plan, powers: powers, record: record), limit: options.limit,
            operation: run.operation, direction: run.direction, arguments: run.arguments, runID: options.run)
        do {
            try await runner.run()
            try await record.end(plan: plan.name)
        } catch {
            await record.drop()
            if let lost = error as? VaultError, lost.code == .leaseLost {
                throw EngineError(
                    .leaseLost, "another engine runs plan \(plan.name) now", hint: "see: perilune recovery-plan show",
                    object: plan.name, cause: error)
            }
            throw error
        }
        return try await report(of: await record.run, plan: plan)
    }

    // MARK: Beginning

    /// The run that the same step of a script has brought to its end before its process died.
    private func endedRun(of plan: RecoveryPlan, askedBy options: PlanRunOptions) async throws -> PlanRun? {
        guard let run = options.run, let step = options.step else { return nil }
        return try await vault.read { vault in
            try vault.objects(PlanRun.self, parent: plan.id).map(\.value)
                .first { $0.run == run && $0.step == step && !$0.state.isOpen }
        }
    }

    /// The right to run a plan; one that a dead engine held is waited for until it has run out.
    private func planLease(_ plan: RecoveryPlan) async throws -> Lease {
        let (name, holder) = (
            PlanRunRecord.leaseName(plan.id), "\(dependencies.holder)#\(dependencies.identifiers.next())"
        )
        var runsOut: Timestamp?
        while true {
            let (now, lifetime) = (dependencies.clock.now, dependencies.leaseLifetime)
            do {
                return try await vault.write {
                    try $0.acquireLease(name, holder: holder, now: now, lifetime: lifetime)
                }
            } catch let error as VaultError where error.code == .leaseHeld {
                let held = try await vault.read { try $0.lease(name) }
                runsOut = runsOut ?? held?.expiresAt
                // A living engine has renewed it meanwhile.
                if let runsOut, now > runsOut {
                    throw EngineError(
                        .busy,
                        "plan \(plan.name) is being run"
                            + (held.map { " by \(LeaseHolder($0.holder).words)" } ?? ""),
                        hint: "see: perilune recovery-plan show \(plan.name)", object: plan.name)
                }
                try await dependencies.clock.sleep(seconds: min(1, lifetime / 10))
            }
        }
    }

    /// Takes the last run of this kind up again if it is not over, or begins one.
    private func openRun(
        _ plan: RecoveryPlan, _ options: PlanRunOptions, _ lease: Lease
    ) async throws -> PlanRunRecord {
        let items = try await items(of: plan).items
        let runs = try await vault.read { try $0.objects(PlanRun.self, parent: plan.id).map(\.value) }
        let last = runs.max { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
        let (id, now) = (dependencies.identifiers.next(), dependencies.clock.now)
        if let last, last.state.isOpen, last.operation == options.operation,
            options.direction == nil || options.direction == last.direction
        {
            let (run, steps) = try await vault.write { vault in
                try vault.require(lease, now: now)
                guard var present = try vault.object(PlanRun.self, id: last.id) else {
                    throw EngineError(
                        .failed, "the record of the plan's run is gone from the vault",
                        hint: "the plan was removed meanwhile; its VMs stand as perilune status shows")
                }
                present.value.state = .running
                present.value.failure = nil
                present.value.endedAt = nil
                present.value.arguments = options.arguments
                present.value.run = options.run
                present.value.step = options.step
                let run = try vault.update(present).value
                return (run, try vault.objects(PlanStep.self, parent: run.id).map(\.value))
            }
            return PlanRunRecord(dependencies: dependencies, run: run, lease: lease, steps: steps)
        }
        let direction = try direction(of: plan, options, items, last: last)
        try Self.checkBeginning(plan, options, items)
        let run = PlanRun(
            id: id, plan: plan.id, operation: options.operation, direction: direction, arguments: options.arguments,
            startedAt: now, run: options.run, step: options.step)
        try await vault.write { vault in
            try vault.require(lease, now: now)
            for var other in try vault.objects(PlanRun.self, parent: plan.id) where other.value.state.isOpen {
                other.value.state = .superseded
                try vault.update(other)
            }
            try vault.insert(run)
            try vault.append(
                Event(
                    at: now, severity: .info, object: run.id,
                    text: "\(run.operation.rawValue) of plan \(plan.name) begins, \(direction.rawValue)"))
        }
        return PlanRunRecord(dependencies: dependencies, run: run, lease: lease, steps: [])
    }

    /// The way that the VMs move: the caller's word, or the only one that all of them can (rule 25 of the reference).
    private func direction(
        of plan: RecoveryPlan, _ options: PlanRunOptions, _ items: [PlanItem], last: PlanRun?
    ) throws -> PlanDirection {
        if let direction = options.direction { return direction }
        let ways = Set(items.map(\.direction))
        if let only = ways.first, ways.count == 1 { return only }
        if !options.operation.isFailover, options.operation != .test { return last?.direction ?? .primaryToRecovery }
        if ways.isEmpty { return .primaryToRecovery }
        let back = items.filter { $0.direction == .recoveryToPrimary }.map(\.vm)
        throw EngineError(
            .refused,
            "plan \(plan.name): some of its VMs are active at one side and some at the other "
                + "(\(back.prefix(5).joined(separator: ", ")) at the recovery side)",
            hint:
                "say the direction: \(PlanDirection.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")); "
                + "VMs that are there already are passed over",
            rule: "choose-direction", object: plan.name)
    }

    /// A plan whose VMs are all being tested is not tested again before it is cleaned up.
    private static func checkBeginning(
        _ plan: RecoveryPlan, _ options: PlanRunOptions, _ items: [PlanItem]
    ) throws {
        guard options.operation == .test, !items.isEmpty,
            items.allSatisfy({ $0.relationship.state == .testing })
        else { return }
        let rule = RuleBook.testInProgress
        throw EngineError(
            .refused, "plan \(plan.name): \(rule.sentence)", hint: "clean up the test of the plan first", rule: rule.id,
            object: plan.name)
    }
}
