import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

/// What happened, in order: stages of VMs and actions.
final class PlanLog: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func add(_ line: String) { lines.withLock { $0.append(line) } }
    func clear() { lines.withLock { $0 = [] } }

    /// A stage of a job, when it begins.
    func note(_ job: Job, _ vm: String) {
        guard let stage = job.stages.first(where: { $0.state == .begun })?.name else { return }
        lines.withLock { if !$0.contains("\(vm) \(stage)") { $0.append("\(vm) \(stage)") } }
    }

    func place(_ line: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Int {
        try #require(all.firstIndex(of: line), "\(line) is not in \(all)", sourceLocation: sourceLocation)
    }
}

/// Actions that are written down, and fail when they are told to.
final class FakeActions: ActionRunner, PlanFunctions, PlanPrompt {
    let log: PlanLog
    /// How often each command or function fails before it succeeds, by its last word.
    let failures = Mutex<[String: Int]>([:])
    let contexts = Mutex<[PlanActionContext]>([])
    let onCall: @Sendable (String) async throws -> Void
    let answer: @Sendable (PlanPromptRequest) async throws -> String

    init(
        log: PlanLog, onCall: @escaping @Sendable (String) async throws -> Void = { _ in },
        answer: @escaping @Sendable (PlanPromptRequest) async throws -> String = { _ in "done" }
    ) {
        self.log = log
        self.onCall = onCall
        self.answer = answer
    }

    var powers: PlanPowers { PlanPowers(commands: self, functions: self, prompt: self) }

    func fail(_ word: String, times: Int) { failures.withLock { $0[word] = times } }

    private func act(_ word: String) async throws -> Bool {
        log.add("action \(word)")
        try await onCall(word)
        return failures.withLock { failures in
            guard let left = failures[word], left > 0 else { return false }
            failures[word] = left - 1
            return true
        }
    }

    func run(_ argv: [String], timeout: Double) async throws -> ActionOutput {
        let word = argv.last ?? ""
        return try await act(word)
            ? ActionOutput("one\n\(word) broke", status: 3) : ActionOutput("\(word) is done")
    }

    func call(module: String, function: String, _ context: PlanActionContext) async throws -> ActionOutput {
        contexts.withLock { $0.append(context) }
        if try await act(function) { throw EngineError(.failed, "\(function) raised") }
        return ActionOutput("\(module).\(function)")
    }

    func call(inline number: UInt64, of run: String, _ context: PlanActionContext) async throws -> ActionOutput {
        try await call(module: run, function: "\(number)", context)
    }

    func confirm(_ request: PlanPromptRequest) async throws -> String {
        log.add("asked \(request.instructions)")
        return try await answer(request)
    }
}

/// Two sites with four protected VMs in three tiers.
struct PlanRig: Sendable {
    static let vms = ["db", "app1", "app2", "web"]

    let rig: Rig
    let log = PlanLog()

    init() async throws {
        rig = try await Rig(vms: Self.vms)
        for vm in Self.vms {
            try await rig.protect(vm)
            try await rig.cycle(vm)
        }
    }

    /// An engine that writes its stages into the log.
    func engine(_ holder: String = "planner", fuse: Fuse = Fuse()) -> RecoveryEngine {
        var dependencies = rig.engine(holder, fuse: fuse).dependencies
        dependencies.observer = { [log] in log.note($0, $1) }
        return RecoveryEngine(dependencies)
    }

    func command(_ word: String, _ change: (inout PlanAction) -> Void = { _ in }) -> PlanAction {
        var action = PlanAction(name: word, work: .command(host: nil, argv: ["/bin/\(word)", word]))
        change(&action)
        return action
    }

    static func tiers(
        before: [String: [PlanAction]] = [:], after: [String: [PlanAction]] = [:], extra: [PlanGroup] = []
    ) -> [PlanGroup] {
        extra
            + [("database", ["db"]), ("middle", ["app1", "app2"]), ("front", ["web"])].map { name, vms in
                PlanGroup(name: name, vms: vms, before: before[name] ?? [], after: after[name] ?? [])
            }
    }

    @discardableResult
    func plan(_ groups: [PlanGroup], name: String = "shop", after: [String] = []) async throws -> RecoveryPlan {
        try await rig.engine.ensurePlan(
            PlanReader.Draft(name: name, source: "vmm", target: "vmm", groups: groups, dependsOn: after))
    }

    func run(
        _ operation: PlanOperation, _ plan: RecoveryPlan, by engine: RecoveryEngine? = nil,
        direction: PlanDirection? = nil,
        arguments: [String: String] = [:], actions: FakeActions? = nil
    ) async throws -> PlanReport {
        try await (engine ?? self.engine()).run(
            plan, PlanRunOptions(operation, direction: direction, arguments: arguments),
            powers: (actions ?? FakeActions(log: log)).powers)
    }

    func states() async throws -> [String: ReplicationState] {
        var states: [String: ReplicationState] = [:]
        for vm in Self.vms { states[vm] = try await rig.relationship(vm).state }
        return states
    }

    func running(at host: String) -> [String] {
        Self.vms.filter { rig.world.power($0, at: host) == .running }
    }
}
