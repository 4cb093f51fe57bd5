package import RecoveryScripting
package import Simulation
import SiteModel

/// The lab's powers over simulated sites: scripts written for the lab run there unchanged.
package struct SimulatedLab: LabPower {
    let world: World

    package init(world: World) {
        self.world = world
    }

    package func site(_ name: String) async throws -> LabSite {
        guard let host = world.hosts.first(where: { $0.site == name }) else {
            throw SimulationError(
                .unknown, "the simulation has no site '\(name)' with a host",
                hint: "it has: \(Set(world.hosts.map(\.site)).sorted().joined(separator: ", "))")
        }
        return LabSite(
            name: name, uri: host.uri, agent: host.agentSocket, address: host.agentAddress, store: host.store,
            fence: host.fence)
    }

    package func address(ofGuest name: String) async throws -> String {
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

    package func recordsAtPowerOff(ofGuest name: String, site: String) async throws -> Int64? {
        world.look { state in
            state.hosts.values.filter { $0.site == site }
                .compactMap { host in host.domains.values.first { $0.name == name }?.writesAtPowerOff }.max()
                .map(Int64.init)
        }
    }

    package func lose(_ site: String) async throws {
        _ = try await self.site(site)
        world.lose(site: site)
    }

    package func restore(_ site: String) async throws {
        _ = try await self.site(site)
        world.restore(site: site)
    }
}

extension SimulationError: PowerError {
    package var advice: String? { hint }
}
