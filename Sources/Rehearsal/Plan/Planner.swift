import LuaHost
import RecoveryEngine
package import RecoveryScripting
package import SiteModel
import Simulation
package import VaultStore

/// Runs a script against a copy of a vault, on simulated sites, and says what it would do.
///
/// Nothing real is touched: the vault is read once, and no call leaves this process.
package struct Planner: Sendable {
    /// What is planned, and on what.
    package struct Request: Sendable {
        /// The sites, as `SiteFile` reads them.
        package var site: String
        /// The vault that the plan is made for; only read.
        package var vault: (any Vault)?
        /// Hosts that did not answer when the sites were described, by name.
        package var silent: [String] = []
        /// Sites that are taken to be lost.
        package var lost: [String] = []
        /// Answers to questions, by their text.
        package var answers: [String: String] = [:]
        /// Definitions of VMs that are at no host that answers, by relationship.
        package var definitions: [String: String] = [:]
        package var setUp: Scenario.Script?
        package var script: Scenario.Script
        package var arguments: [String] = []
        package var options: ScriptOptions
        package var now: Timestamp

        package init(
            site: String, vault: (any Vault)? = nil, setUp: Scenario.Script? = nil, script: Scenario.Script,
            arguments: [String] = [], options: ScriptOptions, now: Timestamp
        ) {
            (self.site, self.vault, self.setUp, self.script) = (site, vault, setUp, script)
            (self.arguments, self.options, self.now) = (arguments, options, now)
        }
    }

    private let task: Request
    private let world: World
    private let copy = MemoryVault()

    package init(_ task: Request) throws {
        self.task = task
        world = try SiteFile(json: task.site).makeWorld(startingAt: task.now)
    }

    package func plan() async throws -> ScriptPlan {
        // The real vault is read before the simulation begins: nothing in there may wait for anything outside.
        if let vault = task.vault { try await VaultCopy.copy(vault, into: copy) }
        let history = try await PlanHistory(task.vault ?? copy)
        return try await world.run { try await go(history) }
    }

    private var engine: RecoveryEngine { RecoveryEngine(world.dependencies(vault: copy, holder: "plan")) }

    private func options(_ recorder: PlanRecorder?) -> ScriptOptions {
        var options = task.options
        options.labPower = SimulatedLab(world: world)
        options.keepsJournal = true
        options.rehearsing = recorder
        // What a power would do is answered by the recorder, so that a script is planned with the powers that it will have.
        if recorder == nil {
            options.grants.subtract([.exec, .http])
        } else {
            options.grants.formUnion([.exec, .http, .hosts])
        }
        return options
    }

    private func go(_ history: PlanHistory) async throws -> ScriptPlan {
        var assumptions = try await standUp()
        let engine = engine
        if let script = task.setUp {
            let outcome = try await ScriptRunner(engine: engine, options: options(nil)).run(
                text: script.text, name: script.name
            ) { _ in }
            if let error = outcome.error { throw SetUpFailed(script: script.name, error: error) }
        }
        let losses = try await losses()
        let missing = try await PlanSurvey.missing(engine)
        for site in task.lost { world.lose(site: site) }
        let recorder = PlanRecorder(
            world: world, vault: copy, history: history, answers: task.answers,
            standing: try await VMStanding.all(world, copy))
        let lines = Lines()
        let outcome = try await ScriptRunner(engine: engine, options: options(recorder)).run(
            text: task.script.text, name: task.script.name, arguments: task.arguments
        ) { lines.add($0) }
        var failure = outcome.error.map { PlanFailure(message: "\($0)", rule: $0.rule, hint: $0.hint) }
        if failure == nil, let pause = outcome.pause {
            failure = PlanFailure(message: "it stands still: \(pause.message)", rule: pause.rule, hint: pause.hint)
        }
        var steps = recorder.steps
        PlanStep.lay(out: &steps)
        steps = steps.enumerated().sorted {
            ($0.element.expectedAtSeconds, $0.offset) < ($1.element.expectedAtSeconds, $1.offset)
        }.map(\.element)
        let assumed = steps.compactMap { step in
            step.assumed.map { "\(step.function)\(step.position.map { " (\($0))" } ?? "") is not called: \($0)" }
        }
        for sentence in assumed where !assumptions.contains(sentence) { assumptions.append(sentence) }
        return ScriptPlan(
            script: task.script.name, at: task.now, steps: steps, output: lines.all, questions: recorder.questions,
            losses: losses, missing: missing, assumptions: assumptions, failure: failure, violations: world.violations,
            expectedSeconds: steps.map { $0.expectedAtSeconds + $0.expectedSeconds }.max() ?? 0)
    }

    /// Fills the copy and the world from the vault; returns what is taken for given by that.
    private func standUp() async throws -> [String] {
        var assumptions = task.silent.map {
            "host \($0) does not answer: it is planned with what the vault knows of it"
        }
        assumptions += task.lost.map { "site \($0) is lost" }
        guard task.vault != nil else {
            for host in world.hosts { try await engine.ensureHost(host) }
            return assumptions
        }
        let (relationships, hosts) = try await copy.read { vault in
            (
                try vault.objects(Relationship.self).map(\.value),
                Dictionary(
                    try vault.objects(SiteModel.Host.self).map { ($0.id, $0.name) },
                    uniquingKeysWith: { first, _ in first })
            )
        }
        for relationship in relationships {
            let points = try await copy.read { vault in
                try vault.objects(RecoveryPoint.self, parent: relationship.id).map(\.value)
            }
            let obstacle = world.stand(
                StandingReplication(
                    relationship: relationship, points: points.sorted { $0.number < $1.number },
                    sourceName: hosts[relationship.source] ?? "", targetName: hosts[relationship.target] ?? "",
                    definition: task.definitions[relationship.id]))
            if let obstacle {
                assumptions.append(
                    "\(relationship.name) \(obstacle): what the script does with it cannot be planned")
            }
        }
        return assumptions
    }

    private func losses() async throws -> [ScriptPlan.Loss] {
        let now = world.clock.now
        return try await copy.read { vault in
            let policies = Dictionary(
                try vault.objects(Policy.self).map { ($0.id, Double($0.value.copyFrequencySeconds)) },
                uniquingKeysWith: { first, _ in first })
            return try vault.objects(Relationship.self).map { relationship in
                let newest = try relationship.newestGeneration.flatMap {
                    try vault.object(RecoveryPoint.self, id: $0)?.value.at
                }
                return ScriptPlan.Loss(
                    vm: relationship.value.name, seconds: newest.map { now.seconds(since: $0) },
                    allowedSeconds: policies[relationship.value.policy])
            }
        }
    }
}
