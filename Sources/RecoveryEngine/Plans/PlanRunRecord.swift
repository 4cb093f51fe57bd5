import SiteModel
import VaultStore

/// The record of one run of a plan, and the right to write it.
///
/// Everything that the run has done is in the vault before it goes on, so that a run whose engine died is taken up by
/// the next one: actions that are done are not done again, and for VMs the world is asked.
actor PlanRunRecord {
    private let dependencies: EngineDependencies
    private(set) var run: PlanRun
    private let kept: KeptLease
    private var steps: [String: PlanStep]
    private(set) var failures: [JobFailure] = []
    private var failedVMs: Set<String> = []

    init(dependencies: EngineDependencies, run: PlanRun, lease: Lease, steps: [PlanStep]) {
        self.dependencies = dependencies
        self.run = run
        kept = KeptLease(lease, dependencies: dependencies)
        self.steps = Dictionary(steps.map { ($0.name, $0) }, uniquingKeysWith: { _, last in last })
    }

    static func leaseName(_ planID: String) -> String { "plan:\(planID)" }

    /// Keeps the lease alive until the run is ended.
    func keepAlive() async { await kept.keep() }

    // MARK: Steps

    func step(_ name: String) -> PlanStep? { steps[name] }

    func isDone(_ name: String) -> Bool { steps[name].map { $0.state == .done } ?? false }

    /// Changes a step, which is made if there is none; other engines may have changed it meanwhile.
    @discardableResult
    func note(
        _ name: String, group: String, _ change: @escaping @Sendable (inout PlanStep) -> Void
    ) async throws -> PlanStep {
        let (held, now, runID) = (await kept.lease, dependencies.clock.now, run.id)
        let fresh = PlanStep(id: dependencies.identifiers.next(), name: name, planRun: runID, group: group)
        let written = try await dependencies.vault.write { vault in
            try vault.require(held, now: now)
            guard var present = try vault.object(PlanStep.self, named: name, parent: runID) else {
                var step = fresh
                change(&step)
                return try vault.insert(step).value
            }
            change(&present.value)
            return try vault.update(present).value
        }
        steps[name] = written
        return written
    }

    /// Reads a step that somebody else may have changed.
    func reread(_ name: String) async throws -> PlanStep? {
        let runID = run.id
        return try await dependencies.vault.read { try $0.object(PlanStep.self, named: name, parent: runID)?.value }
    }

    // MARK: The run

    /// Says what the run does now.
    func enter(_ phase: String) async throws { try await change { $0.phase = phase } }

    /// Counts a failure of the run.
    func fail(_ failure: JobFailure, vm: String? = nil) {
        failures.append(failure)
        if let vm { failedVMs.insert(vm) }
    }

    /// Whether something failed about this VM since the run was begun or taken up.
    func hasFailed(_ vm: String) -> Bool { failedVMs.contains(vm) }

    /// Whether the run is to begin nothing more.
    var isStopped: Bool { run.operation.stopsOnError && !failures.isEmpty }

    /// Writes how the run ended and lets the plan go.
    func end(plan: String) async throws {
        let state: PlanRunState =
            failures.isEmpty ? .succeeded : run.operation.stopsOnError ? .stopped : .incomplete
        let (failures, now, operation, id) = (failures, dependencies.clock.now, run.operation, run.id)
        try await change { run in
            run.state = state
            run.phase = nil
            run.endedAt = now
            guard let first = failures.first else { return run.failure = nil }
            let more = failures.count > 1 ? " (and \(failures.count - 1) more)" : ""
            run.failure = JobFailure(kind: first.kind, message: first.message + more, hint: first.hint)
        } also: { vault, run in
            try vault.append(
                Event(
                    at: now, severity: state == .succeeded ? .info : .critical, object: id,
                    text: "\(operation.rawValue) of plan \(plan) \(state == .succeeded ? "succeeded" : state.rawValue)"
                        + (run.failure.map { ": \($0.message)" } ?? "")))
        }
        await drop()
    }

    /// Lets the plan go without a word: the run stays as it is written.
    func drop() async { await kept.drop() }

    private func change(
        _ change: @escaping @Sendable (inout PlanRun) -> Void,
        also: @escaping @Sendable (any VaultWriter, PlanRun) throws -> Void = { _, _ in }
    ) async throws {
        let (held, now, id) = (await kept.lease, dependencies.clock.now, run.id)
        run = try await dependencies.vault.write { vault in
            try vault.require(held, now: now)
            guard var present = try vault.object(PlanRun.self, id: id) else {
                throw EngineError(
                    .failed, "the record of the plan's run is gone from the vault",
                    hint: "the plan was removed meanwhile; its VMs stand as perilune status shows")
            }
            change(&present.value)
            let written = try vault.update(present).value
            try also(vault, written)
            return written
        }
    }
}
