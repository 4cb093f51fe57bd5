internal import ArgumentParser
import Foundation
import RecoveryEngine
import Rehearsal
import SiteModel
import Simulation

/// Sites that are simulated instead of real ones.
struct SimulationOptions: ParsableArguments {
    @Option(
        name: .customLong("simulate"),
        help: "Run against simulated sites that this file describes, with a vault in memory. Nothing real is touched.")
    var file: String?

    @Option(name: .customLong("seed"), help: "Seed of the simulation, in place of the file's.")
    var seed: UInt64?

    /// Makes the simulated sites and an engine over them, with their hosts registered; nil without `--simulate`.
    func start(display: JobDisplay) async throws -> SimulatedSites? {
        guard let file else { return nil }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw SimulationError(
                .invalidSite, "the site's description '\(file)' cannot be read", hint: "check the path and its rights")
        }
        let world = try SiteFile(json: text, seed: seed).makeWorld()
        world.executor.open()
        let engine = RecoveryEngine(world.dependencies(observer: { job, vm in display.update(job, vm) }))
        for host in world.hosts { try await engine.ensureHost(host) }
        Terminal.complain("simulation of \(file): no real site and no vault on disk is touched")
        return SimulatedSites(world: world, engine: engine)
    }
}

/// Simulated sites that run.
struct SimulatedSites: Sendable {
    let world: World
    let engine: RecoveryEngine

    var lab: SimulatedLab { SimulatedLab(world: world) }

    /// Ends the simulation, and says what in it must never have been.
    func end() {
        for violation in world.violations { Terminal.complain("simulation: broken invariant: \(violation)") }
        world.executor.close()
    }
}
