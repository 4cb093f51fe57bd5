import Foundation
import LuaHost
import RecoveryEngine
import RecoveryScripting
import Rehearsal
import SiteModel
import Simulation
import Synchronization
import VaultStore

/// Simulated sites, a vault in memory, and engines over them that can be killed: where scripts are run, cut off and resumed.
struct Stage: Sendable {
    let world: World
    let vault = MemoryVault()
    let printed = Printed()
    var options: ScriptOptions

    /// Lines that scripts have printed, of all engines in turn.
    final class Printed: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The sites of a file of examples/.
    init(_ site: String = "simulated-lab.json", seed: UInt64 = 1) throws {
        let text = try String(contentsOfFile: "\(Self.root)/examples/\(site)", encoding: .utf8)
        world = try SiteFile(json: text, seed: seed).makeWorld()
        options = ScriptOptions(
            standardLibrary: "\(Self.root)/stdlib", grants: [.hosts, .lab], labPower: SimulatedLab(world: world))
        options.keepsJournal = true
    }

    func engine(_ name: String, life: EngineLife? = nil) -> RecoveryEngine {
        RecoveryEngine(world.dependencies(vault: vault, holder: name, life: life))
    }

    /// Registers the hosts, as a lab does.
    func register() async throws {
        let engine = engine("setup")
        for host in world.hosts { try await engine.ensureHost(host) }
    }

    func run(_ text: String, by engine: RecoveryEngine, name: String = "test.lua") async throws -> RunOutcome {
        let printed = printed
        return try await ScriptRunner(engine: engine, options: options).run(text: text, name: name) { printed.add($0) }
    }

    func resume(
        _ id: String, by engine: RecoveryEngine, _ decision: RunDecision? = nil, from rewind: Rewind? = nil
    ) async throws -> RunOutcome {
        let printed = printed
        return try await ScriptRunner(engine: engine, options: options).resume(id, decision: decision, from: rewind) {
            printed.add($0)
        }
    }

    var runs: [Run] {
        get async throws { try await vault.read { try $0.objects(Run.self).map(\.value) } }
    }

    var jobs: [Job] {
        get async throws {
            try await vault.read { try $0.objects(Job.self).map(\.value) }.sorted {
                ($0.startedAt, $0.id) < ($1.startedAt, $1.id)
            }
        }
    }

    /// Steps of the run's journal by function, effects alone.
    func effects(of run: String) async throws -> [String] {
        try await RunSteps.read(of: run, in: engine("looks")).filter(\.isEffect).map(\.function)
    }

    static func text(_ example: String) throws -> String {
        try String(contentsOfFile: "\(root)/examples/\(example)", encoding: .utf8)
    }
}
