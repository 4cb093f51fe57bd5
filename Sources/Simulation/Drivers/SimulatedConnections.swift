package import BlockReplication
package import Hypervisors
package import RecoveryEngine
package import SiteModel

/// Opens the hosts of a world by their URI.
package struct SimulatedConnections: Connections {
    package let world: World
    let life: EngineLife?

    package init(world: World, life: EngineLife? = nil) {
        self.world = world
        self.life = life
    }

    package static func uri(_ host: String) -> String { "simulated:///" + host }

    package func hypervisor(of host: SiteModel.Host) async throws -> any Hypervisor {
        SimulatedHypervisor(world: world, host: try name(host), life: life)
    }

    package func agent(of host: SiteModel.Host) async throws -> any Agent {
        SimulatedAgent(world: world, host: try name(host), life: life)
    }

    /// The world's host of that URI; the vault's id of it is what ownership records say.
    private func name(_ host: SiteModel.Host) throws -> String {
        let name = host.uri.hasPrefix(Self.uri("")) ? String(host.uri.dropFirst(Self.uri("").count)) : host.name
        return try world.change { state in
            guard state.hosts[name] != nil else {
                throw HypervisorError(
                    .unreachable, "the simulated world has no host '\(name)' (\(host.uri))",
                    hint: "it has: \(state.hosts.keys.sorted().joined(separator: ", ")); "
                        + "a host's URI is \(Self.uri("NAME"))")
            }
            if state.hosts[name]?.vaultID != host.id { state.hosts[name]?.vaultID = host.id }
            return name
        }
    }
}

/// Ends a host of the world, or fails to.
package struct SimulatedFencing: Fencing {
    package let world: World
    let life: EngineLife?

    package init(world: World, life: EngineLife? = nil) {
        self.world = world
        self.life = life
    }

    package func fence(_ host: SiteModel.Host) async -> FenceOutcome {
        let name = host.uri.hasPrefix("simulated:///") ? String(host.uri.dropFirst(13)) : host.name
        let seconds = world.look { $0.hosts[name]?.speeds.fence ?? 0 }
        await world.clock.pass(seconds: seconds)
        if life?.isOver == true { return .unknown("the engine is dead") }
        return world.change { state in
            let behaviour = state.hosts[name]?.fence ?? .fails
            switch behaviour {
            case .works: state.lose(name, world.clock.now)
            case .endsGuests: state.endGuests(name, world.clock.now)
            case .fails: break
            }
            state.note(world.clock.now, name, "fence", name, behaviour == .fails ? "unknown" : "proven")
            return behaviour == .fails ? .unknown("the simulated fence fails") : .proven
        }
    }
}
