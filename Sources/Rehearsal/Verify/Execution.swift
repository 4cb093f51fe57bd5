package import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Synchronization
import VaultStore

/// One run of a scenario on sites of its own, with what goes wrong.
struct Execution: Sendable {
    let scenario: Scenario
    let disturbances: [Disturbance]
    private let world: World
    private let vault = MemoryVault()
    private let broken = Broken()

    /// Seconds of its own time after which an execution counts as endless.
    static let longest = 14 * 86_400.0

    /// Sentences about what must not be, that the world does not see by itself.
    private final class Broken: Sendable {
        private let sentences = Mutex<[String]>([])
        func add(_ sentence: String) { sentences.withLock { if !$0.contains(sentence) { $0.append(sentence) } } }
        var all: [String] { sentences.withLock { $0 } }
    }

    init(_ scenario: Scenario, _ disturbances: [Disturbance]) throws {
        self.scenario = scenario
        self.disturbances = disturbances
        var order = SimulationExecutor.Order.arrival
        for case .order(let seed) in disturbances { order = .shuffled(seed: seed) }
        world = try SiteFile(json: scenario.site, seed: scenario.seed).makeWorld(order: order)
    }

    func run() async throws -> Ending {
        do { return try await world.run { try await go() } } catch let error as SimulationError
            where error.code == .stuck
        {
            return Ending(
                result: .endless, violations: world.violations + broken.all, vms: [:], caught: [], steps: 0, calls: 0,
                jobs: [], sites: [])
        }
    }

    private func engine(_ name: String, _ life: EngineLife? = nil) -> RecoveryEngine {
        let (world, broken) = (world, broken)
        return RecoveryEngine(
            world.dependencies(vault: vault, holder: name, life: life) { job, vm in
                guard job.operation == .plannedFailover, job.state == .succeeded else { return }
                let places = world.look { state in
                    state.hosts.values.filter { $0.domains.values.contains { $0.name == vm } }.map(\.name)
                }
                guard let now = world.running(vm).first, let before = places.first(where: { $0 != now }),
                    let loss = try? world.loss(of: vm, from: before, to: now), loss.writes > 0
                else { return }
                broken.add("the planned failover of \(vm) lost \(loss.writes) writes")
            })
    }

    private var options: ScriptOptions {
        var options = scenario.options
        options.labPower = SimulatedLab(world: world)
        return options
    }

    private func go() async throws -> Ending {
        let setUp = engine("setup")
        for host in world.hosts { try await setUp.ensureHost(host) }
        if let script = scenario.setUp {
            let outcome = try await ScriptRunner(engine: setUp, options: options).run(
                text: script.text, name: script.name
            ) { _ in }
            if let error = outcome.error { throw SetUpFailed(script: script.name, error: error) }
        }
        let began = world.clock.now
        world.startTracing()
        let life = EngineLife()
        begin(life)
        let result = try await drive(life)
        let run = try await vault.read { try $0.objects(Run.self).map(\.value) }
            .max { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
        let journal = run == nil ? [] : try await RunSteps.read(of: run?.id ?? "", in: setUp)
        let caught = journal.compactMap { step in
            step.error.map {
                CaughtError(function: step.function, message: $0, rule: step.rule, position: step.position)
            }
        }
        return Ending(
            result: result, violations: world.violations + broken.all, vms: try await standing(), caught: caught,
            steps: life.steps, calls: world.trace.count,
            jobs: try await vault.read { try $0.objects(Job.self) }
                .map { Int($0.value.startedAt.seconds(since: began)) }.filter { $0 >= 0 },
            sites: Set(world.hosts.map(\.site)).sorted())
    }

    /// Sets up what is to go wrong.
    private func begin(_ life: EngineLife) {
        for disturbance in disturbances {
            switch disturbance {
            case .crash(let step): life.end(afterSteps: step)
            case .call(let number, let fault):
                var fault = Fault(fault.effect, call: "")
                (fault.skip, fault.times) = (number - 1, 1)
                world.add(fault)
            case .refuses(.stop): world.add(Fault(.fails, call: "hypervisor.shutdown"))
            case .refuses(.start): world.add(Fault(.fails, call: "hypervisor.start"))
            case .unreachable(let site, let second): world.after(Double(second)) { $0.cutOff(site: site) }
            case .order: break
            }
        }
    }

    /// Runs the script, and goes on with it where its engine has died.
    private func drive(_ life: EngineLife) async throws -> Ending.Result {
        let first = Task(executorPreference: world.executor) {
            try await ScriptRunner(engine: engine("first", life), options: options).run(
                text: scenario.script.text, name: scenario.script.name, arguments: scenario.arguments
            ) { _ in }
        }
        var outcome = try? await bounded(first)
        if life.isOver {
            guard let run = try await lastRun(), run.endedAt == nil else { return try await result(of: lastRun()) }
            let next = engine("next")
            let second = Task(executorPreference: world.executor) {
                async let recovered = next.recoverOpenJobs()
                let outcome = try await ScriptRunner(engine: next, options: options).resume(run.id) { _ in }
                _ = try await recovered
                return outcome
            }
            outcome = try await bounded(second)
        }
        guard let outcome else { return .endless }
        if let pause = outcome.pause { return .stoodStill(pause) }
        return outcome.error.map { .failed("\($0)", rule: $0.rule) } ?? .succeeded
    }

    /// Waits for an outcome, and gives it up when it takes too long; nil then.
    private func bounded(_ task: Task<RunOutcome, any Error>) async throws -> RunOutcome? {
        let clock = world.clock
        let late = Mutex(false)
        let alarm = Task(executorPreference: world.executor) {
            try await clock.sleep(seconds: Self.longest)
            late.withLock { $0 = true }
            task.cancel()
        }
        defer { alarm.cancel() }
        let outcome = try await task.value
        return late.withLock { $0 } ? nil : outcome
    }

    private func lastRun() async throws -> Run? {
        try await vault.read { try $0.objects(Run.self).map(\.value) }.max {
            ($0.startedAt, $0.id) < ($1.startedAt, $1.id)
        }
    }

    /// What a run that ended with its engine came to; one that was never recorded has done nothing.
    private func result(of run: Run?) -> Ending.Result {
        guard let run else { return .failed("the engine died before the run began", rule: nil) }
        return run.outcome == "succeeded" ? .succeeded : .failed(run.outcome ?? "", rule: nil)
    }

    /// Where each VM runs, and how its replication stands.
    private func standing() async throws -> [String: String] {
        let (relationships, hosts) = try await vault.read { vault in
            (try vault.objects(Relationship.self).map(\.value), try vault.objects(SiteModel.Host.self).map(\.value))
        }
        let names = world.look { state in Set(state.hosts.values.flatMap { $0.domains.values.map(\.name) }) }
        var standing: [String: String] = [:]
        for name in names {
            let places = world.running(name)
            var words = places.isEmpty ? "runs nowhere" : "runs at \(places.joined(separator: " and "))"
            if let relationship = relationships.first(where: { $0.name == name }) {
                let owner = hosts.first { $0.id == relationship.owner }?.name ?? ""
                words += ", \(relationship.state.rawValue), owned by \(owner)"
            }
            standing[name] = words
        }
        return standing
    }
}

/// The script that sets the scene did not run through.
package struct SetUpFailed: Error {
    package var script: String
    package var error: LuaError
}
