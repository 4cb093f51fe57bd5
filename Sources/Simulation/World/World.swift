import Hypervisors
package import RecoveryEngine
package import SiteModel
import Synchronization
package import VaultStore

/// A simulated world: sites with hosts, VMs, disks and agents, a link between them, and one virtual clock.
///
/// It stands in for libvirt, QEMU and the agents at once: the points of one host's agent are made of the other host's disks,
/// and both of them end when a site is lost. The same seed and the same calls give the same world, and the same trace.
package final class World: Sendable {
    package let clock: SimulationClock
    package let executor: SimulationExecutor
    package let identifiers: SeededIdentifiers
    let state: Mutex<WorldState>

    package init(_ state: WorldState, order: SimulationExecutor.Order = .arrival) {
        clock = SimulationClock(start: state.start)
        executor = SimulationExecutor(clock: clock, order: order)
        identifiers = SeededIdentifiers(seed: SplitMix.seed("identifiers", state.seed))
        self.state = Mutex(state)
    }

    package func look<Result>(_ body: (WorldState) throws -> Result) rethrows -> Result where Result: Sendable {
        try state.withLock { try body($0) }
    }

    @discardableResult
    package func change<Result>(_ body: (inout WorldState) throws -> Result) rethrows -> Result where Result: Sendable {
        try state.withLock { try body(&$0) }
    }

    // MARK: For an engine

    /// What an engine needs to work in this world; a vault in memory unless one is given.
    ///
    /// `life` is the engine's own: when it is ended, the engine has died.
    package func dependencies(
        vault: any Vault = MemoryVault(), holder: String = "simulated", leaseLifetime: Double = 15,
        life: EngineLife? = nil, observer: @escaping @Sendable (Job, String) -> Void = { _, _ in }
    ) -> EngineDependencies {
        EngineDependencies(
            vault: life.map { MortalVault(vault, life: $0) } ?? vault,
            connections: SimulatedConnections(world: self, life: life),
            fencing: SimulatedFencing(world: self, life: life),
            clock: clock, identifiers: identifiers, holder: holder, leaseLifetime: leaseLifetime, executor: executor,
            observer: observer)
    }

    /// Runs a body on the world's own thread in virtual time; see `SimulationExecutor.run`.
    package func run<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try await executor.run(body)
    }

    /// The world's hosts as a vault records them, by name.
    package var hosts: [SiteModel.Host] {
        look { $0.hosts.values.sorted { $0.name < $1.name } }.map { host in
            SiteModel.Host(
                id: host.name, name: host.name, site: host.site, uri: SimulatedConnections.uri(host.name),
                agentSocket: "/simulated/\(host.name)/agent.sock", agentAddress: host.address, store: host.store,
                fence: ["/simulated/fence", host.name])
        }
    }

    // MARK: Trace

    /// Notes every call from now on, with its time and what came of it.
    package func startTracing() { change { $0.isTracing = true } }

    /// The calls since tracing began, one a line.
    package var trace: [String] { look { $0.trace } }

    package var violations: [String] { look { $0.violations } }
}
