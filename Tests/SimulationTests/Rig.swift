import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

/// Two sites of one host each, an engine over them, and what is needed to protect VMs.
struct Rig: Sendable {
    let world: World
    let engine: RecoveryEngine

    /// Hosts a and b, `vms` VMs at a that write at this rate.
    init(
        vms: [String] = ["orders"], writesPerSecond: Double = 10, seed: UInt64 = 1,
        order: SimulationExecutor.Order = .arrival, disks: [NewDisk]? = nil, traced: Bool = false
    ) throws {
        var state = WorldState(seed: seed)
        state.addHost("a", site: "a", networks: ["prod-a", "test-net"])
        state.addHost("b", site: "b", networks: ["prod-b", "test-net"])
        for (index, name) in vms.enumerated() {
            var vm = NewVM(name: name)
            if let disks { vm.disks = disks }
            vm.nics = [NewNIC(network: "prod-a")]
            vm.guest.writesPerSecond = writesPerSecond
            vm.guest.address = "10.0.\(index / 250).\(index % 250 + 1)"
            try state.addVM(vm, at: "a")
        }
        world = World(state, order: order)
        if traced { world.startTracing() }
        engine = RecoveryEngine(world.dependencies())
    }

    /// Registers hosts, clouds, policy, pair and mapping.
    func setUp(points: Int = 2) async throws {
        for host in world.hosts { try await engine.ensureHost(host) }
        let server = try await engine.ensureServer(name: "vmm", managementVM: nil)
        let gold = try await engine.ensureCloud(name: "gold", server: server.id, hosts: ["a"])
        let silver = try await engine.ensureCloud(name: "silver", server: server.id, hosts: ["b"])
        let policy = try await engine.ensurePolicy(
            Policy(id: world.identifiers.next(), name: "fast", copyFrequencySeconds: 30, recoveryPoints: points))
        try await engine.ensurePair(primary: gold, recovery: silver, policy: policy)
        try await engine.ensureNetworkMapping(
            cloud: gold, network: "prod-a", targetCloud: silver, targetNetwork: "prod-b")
    }

    func protect(_ vm: String = "orders") async throws {
        let cloud = try await engine.vault.read { try $0.objects(Cloud.self).map(\.value).first { $0.name == "gold" } }
        try await engine.protect(vm: vm, in: try #require(cloud))
    }

    func relationship(_ vm: String = "orders") async throws -> Relationship {
        try #require(try await engine.vault.read { try $0.object(Relationship.self, named: vm, parent: nil)?.value })
    }

    @discardableResult
    func perform(
        _ operation: SiteModel.Operation, _ vm: String = "orders", _ arguments: [String: String] = [:]
    ) async throws -> Job {
        try await engine.perform(operation, on: try await relationship(vm).id, arguments: arguments)
    }

    func cycle(_ vm: String = "orders", after seconds: Double = 30) async throws {
        try await world.clock.sleep(seconds: seconds)
        try await perform(.sync, vm)
    }
}
