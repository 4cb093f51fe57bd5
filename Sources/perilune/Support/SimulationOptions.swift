internal import ArgumentParser
import Foundation
import RecoveryEngine
import RecoveryScripting
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

/// The lab's powers over simulated sites: scripts written for the lab run there unchanged.
struct SimulatedLab: LabPower {
    let world: World

    func site(_ name: String) async throws -> LabSite {
        guard let host = world.hosts.first(where: { $0.site == name }) else {
            throw SimulationError(
                .unknown, "the simulation has no site '\(name)' with a host",
                hint: "it has: \(Set(world.hosts.map(\.site)).sorted().joined(separator: ", "))")
        }
        return LabSite(
            name: name, uri: host.uri, agent: host.agentSocket, address: host.agentAddress, store: host.store,
            fence: host.fence)
    }

    func address(ofGuest name: String) async throws -> String {
        let address = world.look { state in
            state.hosts.values.sorted { $0.name < $1.name }
                .compactMap { host in host.domains.values.first { $0.name == name }?.guest.address }.first
        }
        guard let address else {
            throw SimulationError(
                .unknown, "the simulation has no guest '\(name)' with an address",
                hint: "give the VM an \"address\" in the site's description")
        }
        return address
    }

    func recordsAtPowerOff(ofGuest name: String, site: String) async throws -> Int64? {
        world.look { state in
            state.hosts.values.filter { $0.site == site }
                .compactMap { host in host.domains.values.first { $0.name == name }?.writesAtPowerOff }.max()
                .map(Int64.init)
        }
    }

    func lose(_ site: String) async throws {
        _ = try await self.site(site)
        world.lose(site: site)
    }

    func restore(_ site: String) async throws {
        _ = try await self.site(site)
        world.restore(site: site)
    }
}

extension SimulationError: PowerError {
    package var advice: String? { hint }
}
