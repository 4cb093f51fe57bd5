import BlockReplication
import Hypervisors
package import SiteModel
import VaultStore

/// Carries out the actions around a group.
struct PlanActions: Sendable {
    let engine: RecoveryEngine
    let plan: RecoveryPlan
    let powers: PlanPowers
    let record: PlanRunRecord

    private var clock: any EngineClock { engine.dependencies.clock }

    /// Does those of a list that apply to this run, one after the other; after a failure that stops the run, no more.
    func run(_ actions: [PlanAction], _ place: String, of group: PlanGroup) async throws {
        let run = await record.run
        for (index, action) in actions.enumerated() where action.applies(to: run.operation, run.direction) {
            if await record.isStopped { return }
            try await self.run(action, PlanStepName.action(group.name, place, index + 1), place, group)
        }
    }

    private func run(_ action: PlanAction, _ step: String, _ place: String, _ group: PlanGroup) async throws {
        if await record.isDone(step) { return }
        let began = clock.now
        try await record.note(step, group: group.name) { step in
            step.state = .begun
            step.startedAt = began
            step.endedAt = nil
            step.detail = action.work.summary
        }
        var attempts = 0
        while true {
            attempts += 1
            let (result, count) = (await attempt(action, step, place, group), attempts)
            if case .failure(let error) = result, error is CancellationError { throw error }
            if case .failure(let error as VaultError) = result { throw error }
            let now = clock.now
            switch result {
            case .success(let outcome):
                try await record.note(step, group: group.name) { step in
                    step.state = .done
                    step.endedAt = now
                    step.attempts = count
                    step.output = outcome.output.map(Self.kept)
                    step.observation = outcome.observation ?? step.observation
                }
                return
            case .failure(let error):
                let failure = Self.failure(error)
                guard attempts > action.retries else {
                    try await clock.sleep(seconds: 1)
                    continue
                }
                try await record.note(step, group: group.name) { step in
                    step.state = .failed
                    step.endedAt = now
                    step.attempts = count
                    step.detail = failure.message
                    step.output = failure.output.map(Self.kept)
                }
                return try await report(failure, of: action, group)
            }
        }
    }

    private func report(_ failure: ActionFailure, of action: PlanAction, _ group: PlanGroup) async throws {
        let message = "action '\(action.name)' of group \"\(group.name)\" failed: \(failure.message)"
        if action.isCritical {
            return await record.fail(JobFailure(kind: "action-failed", message: message, hint: failure.hint))
        }
        let (now, id) = (clock.now, await record.run.id)
        try await engine.vault.write {
            try $0.append(Event(at: now, severity: .warning, object: id, text: "plan \(plan.name): \(message)"))
        }
    }

    // MARK: One attempt

    private struct Outcome: Sendable {
        var output: String?
        var observation: String?
    }

    private func attempt(
        _ action: PlanAction, _ step: String, _ place: String, _ group: PlanGroup
    ) async -> Result<Outcome, any Error> {
        do {
            if case .wait(let seconds) = action.work {
                try await clock.sleep(seconds: seconds)
                return .success(Outcome())
            }
            return .success(
                try await within(action.timeout) { try await perform(action, step, place, group) })
        } catch {
            return .failure(error)
        }
    }

    /// Ends the body when it takes longer; it must heed cancellation.
    private func within<Value: Sendable>(
        _ seconds: Double, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let clock = clock
        return try await withThrowingTaskGroup(of: Value?.self) { tasks in
            tasks.addTask { try await body() }
            tasks.addTask {
                try await clock.sleep(seconds: seconds)
                return nil
            }
            defer { tasks.cancelAll() }
            if let value = try await tasks.next() ?? nil { return value }
            throw ActionFailure(
                "it was not done within \(PlanValue.shown(seconds)) s",
                hint: "look why it takes so long, or raise its timeout")
        }
    }

    private func perform(
        _ action: PlanAction, _ step: String, _ place: String, _ group: PlanGroup
    ) async throws -> Outcome {
        if let lacking = powers.lacking(for: action.work) { throw lacking }
        switch action.work {
        case .function(let module, let function):
            let context = try await context(place, group)
            return Outcome(
                output: try await powers.functions?.call(module: module, function: function, context).text)
        case .inline(let run, let number):
            let context = try await context(place, group)
            return Outcome(output: try await powers.functions?.call(inline: number, of: run, context).text)
        case .command(_, let argv):
            guard let commands = powers.commands else { return Outcome() }
            return try Self.checked(try await commands.run(argv, timeout: action.timeout))
        case .guestCommand(let vm, let argv): return try await inGuest(vm, argv, action.timeout)
        case .manual(let instructions):
            return try await confirmation(action, instructions, step, group)
        case .check(let vm, let host, let port, let path): return try await check(vm, host, port, path)
        case .wait: return Outcome()
        }
    }

    private static func checked(_ output: ActionOutput) throws -> Outcome {
        guard output.status == 0 else {
            let last = output.text.split(separator: "\n").last.map { ": \($0.prefix(200))" } ?? ""
            throw ActionFailure(
                "it ended with exit status \(output.status)\(last)", hint: "its whole output is in the run's record",
                output: output.text)
        }
        return Outcome(output: output.text)
    }

    private func inGuest(_ vm: String, _ argv: [String], _ timeout: Double) async throws -> Outcome {
        let place = try await self.place(of: vm)
        guard let guests = try await engine.hosts.hypervisor(place.host) as? any GuestCommands else {
            throw ActionFailure(
                "the host of \(vm) offers no way to run commands in a guest",
                hint: "use a check over the network, or a command on a host")
        }
        let result = try await guests.runInGuest(uuid: place.uuid, argv: argv, limit: .seconds(timeout))
        return try Self.checked(ActionOutput(result.output, status: result.status))
    }

    /// Where a VM of the plan runs in this run: its test VM at the target, else the VM at its owner.
    private func place(of vm: String) async throws -> (host: String, uuid: String) {
        guard let relationship = try await engine.item(vm, group: "")?.relationship else {
            throw ActionFailure("\(vm) is not replicated any more", hint: "protect it, or change the plan")
        }
        if await record.run.operation == .test || relationship.state == .testing, let test = relationship.test {
            return (relationship.target, test.vmUUID)
        }
        return (relationship.owner, relationship.vmUUID)
    }

    /// Asks until the guest answers well; the time limit of the action ends it.
    private func check(_ vm: String, _ host: String, _ port: Int, _ path: String) async throws -> Outcome {
        let agent = try await engine.hosts.agent(place(of: vm).host)
        let request = HTTPProbe(host: host, port: UInt16(clamping: port), path: path, timeoutSeconds: 5)
        while true {
            try Task.checkCancellation()
            if let reply = try? await agent.probe(request), reply.status < 400 {
                return Outcome(output: "HTTP status \(reply.status)\n\(reply.body)")
            }
            try await clock.sleep(seconds: 1)
        }
    }

    /// Waits for a person: at this run's own prompt, or through the vault from elsewhere.
    private func confirmation(
        _ action: PlanAction, _ instructions: String, _ step: String, _ group: PlanGroup
    ) async throws -> Outcome {
        try await record.note(step, group: group.name) { step in
            step.state = .waiting
            step.detail = instructions
        }
        let request = PlanPromptRequest(
            plan: plan.name, group: group.name, action: action.name, instructions: instructions)
        let (prompt, clock, record) = (powers.prompt, clock, record)
        return try await withThrowingTaskGroup(of: Outcome.self) { tasks in
            if let prompt { tasks.addTask { Outcome(observation: try await prompt.confirm(request)) } }
            tasks.addTask {
                while true {
                    if let seen = try await record.reread(step), seen.state == .done {
                        return Outcome(observation: seen.observation)
                    }
                    try await clock.sleep(seconds: 1)
                }
            }
            defer { tasks.cancelAll() }
            return try await tasks.next() ?? Outcome()
        }
    }

    // MARK: Words

    private func context(_ place: String, _ group: PlanGroup) async throws -> PlanActionContext {
        let run = await record.run
        let names = group.kind == .boot ? group.vms : plan.vms
        let failovers = try await engine.vault.read { vault in
            try names.compactMap { name -> PlanActionContext.VM? in
                guard let relationship = try vault.object(Relationship.self, named: name, parent: nil)?.value else {
                    return nil
                }
                func host(_ id: String) throws -> String { try vault.object(Host.self, id: id)?.value.name ?? id }
                let generation = relationship.failover?.generation ?? relationship.test?.generation
                let point = try generation.flatMap { try vault.object(RecoveryPoint.self, id: $0)?.value }
                return PlanActionContext.VM(
                    name: name, state: relationship.state, owner: try host(relationship.owner),
                    source: try host(relationship.source), target: try host(relationship.target),
                    point: point?.number, at: point?.at)
            }
        }
        return PlanActionContext(
            plan: plan.name, operation: run.operation, direction: run.direction, group: group.name, place: place,
            vms: failovers)
    }

    private static func failure(_ error: any Error) -> ActionFailure {
        if let failure = error as? ActionFailure { return failure }
        let what = JobDriver.describe(error)
        return ActionFailure(what.message, hint: what.hint)
    }

    /// The output as it is kept: whole, up to a bound that is said.
    private static func kept(_ output: String) -> String {
        guard output.utf8.count > PlanLimits.outputBytes else { return output }
        let left = output.utf8.count - PlanLimits.outputBytes
        return String(decoding: output.utf8.prefix(PlanLimits.outputBytes), as: UTF8.self)
            + "\n[\(left) more bytes were not kept]"
    }
}

/// Names of steps, unique within a run.
enum PlanStepName {
    static func vm(_ name: String) -> String { "vm:\(name)" }
    static func action(_ group: String, _ place: String, _ number: Int) -> String {
        "action:\(group)/\(place)/\(number)"
    }
}

extension RecoveryEngine {
    /// Confirms the manual action that a run of the plan waits for, with what was seen.
    ///
    /// - Throws: `EngineError` of kind `invalid` when the plan waits for nobody.
    package func confirm(plan: RecoveryPlan, observation: String) async throws -> PlanStep {
        guard observation.utf8.count <= PlanLimits.textBytes else {
            throw EngineError(
                .invalid, "the observation is longer than \(PlanLimits.textBytes) bytes", hint: "shorten it")
        }
        return try await vault.write { vault in
            for run in try vault.objects(PlanRun.self, parent: plan.id) where run.value.state == .running {
                for var step in try vault.objects(PlanStep.self, parent: run.value.id)
                where step.value.state == .waiting {
                    step.value.state = .done
                    step.value.observation = observation
                    return try vault.update(step).value
                }
            }
            throw EngineError(
                .invalid, "plan \(plan.name) waits for nobody's confirmation",
                hint: "see: perilune recovery-plan show", object: plan.name)
        }
    }
}
