import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

/// Two sites, a vault, and engines over them.
struct Rig: Sendable {
    let clock = VirtualClock()
    let identifiers = CountedIdentifiers()
    let vault = MemoryVault()
    let world: FakeWorld
    let engine: RecoveryEngine

    static let hosts = ["a", "b"]

    /// Two hosts, policy `fast` (30 s, `points` extra points), clouds gold at a and silver at b, prod-a mapped to prod-b.
    ///
    /// A third host `c`, on no network of theirs, is in no cloud; with it come four VMs.
    init(
        managementVM: String? = nil, points: Int = 2, vms given: [String] = ["orders"], thirdHost: Bool = false
    ) async throws {
        var networks: [String: Set<String>] = ["a": ["prod-a", "mgmt-a"], "b": ["prod-b", "mgmt-b"]]
        if thirdHost { networks["c"] = ["mgmt-b"] }
        let vms = thirdHost ? ["orders", "stock", "files", "mail"] : given
        world = FakeWorld(clock: clock, hosts: networks)
        let dependencies = EngineDependencies(
            vault: vault, connections: FakeConnections(world: world, fuse: Fuse()),
            fencing: FakeFencing(world: world, fuse: Fuse()), clock: clock, identifiers: identifiers, holder: "first")
        engine = RecoveryEngine(dependencies)
        for name in vms {
            try world.addVM(
                name, at: "a", disks: ["vda": [0: 1, 1: 2, 2: 3, 3: 4], "vdb": [10: 5]],
                network: name == managementVM ? "mgmt-a" : "prod-a")
        }
        for host in Self.hosts + (thirdHost ? ["c"] : []) {
            try await engine.ensureHost(
                SiteModel.Host(
                    id: host, name: host, site: host, uri: "fake:///\(host)", agentSocket: "/\(host)/agent.sock",
                    agentAddress: "\(host):7731", store: "/store", fence: ["/bin/fence", host]))
        }
        let server = try await engine.ensureServer(name: "vmm", managementVM: managementVM)
        let gold = try await engine.ensureCloud(name: "gold", server: server.id, hosts: ["a"])
        let silver = try await engine.ensureCloud(name: "silver", server: server.id, hosts: ["b"])
        let policy = try await engine.ensurePolicy(
            Policy(id: identifiers.next(), name: "fast", copyFrequencySeconds: 30, recoveryPoints: points))
        try await engine.ensurePair(primary: gold, recovery: silver, policy: policy)
        try await engine.ensureNetworkMapping(
            cloud: gold, network: "prod-a", targetCloud: silver, targetNetwork: "prod-b")
    }

    /// Agents that make first copies in legs of so many blocks of each disk.
    func makeLegs(of blocks: Int) { world.state.withLock { $0.legBlocks = blocks } }

    /// A further engine over the same vault and world.
    func engine(_ holder: String, fuse: Fuse = Fuse()) -> RecoveryEngine {
        RecoveryEngine(
            EngineDependencies(
                vault: FusedVault(base: vault, fuse: fuse), connections: FakeConnections(world: world, fuse: fuse),
                fencing: FakeFencing(world: world, fuse: fuse), clock: SuspendableClock(base: clock, fuse: fuse),
                identifiers: identifiers, holder: holder))
    }

    // MARK: Shorthands

    func relationship(_ vm: String = "orders") async throws -> Relationship {
        try #require(try await vault.read { try $0.object(Relationship.self, named: vm, parent: nil)?.value })
    }

    func policy() async throws -> Policy {
        try #require(try await vault.read { try $0.object(Policy.self, named: "fast", parent: nil)?.value })
    }

    func cloud(_ name: String = "gold") async throws -> Cloud {
        try #require(try await vault.read { try $0.objects(Cloud.self).map(\.value).first { $0.name == name } })
    }

    func points(_ vm: String = "orders") async throws -> [RecoveryPoint] {
        let id = try await relationship(vm).id
        return try await vault.read { try $0.objects(RecoveryPoint.self, parent: id).map(\.value) }
    }

    func jobs(_ vm: String = "orders") async throws -> [Job] {
        let id = try await relationship(vm).id
        return try await vault.read { try $0.objects(Job.self, parent: id).map(\.value) }
    }

    func protect(_ vm: String = "orders", by engine: RecoveryEngine? = nil) async throws {
        try await (engine ?? self.engine).protect(vm: vm, in: try await cloud())
    }

    @discardableResult
    func run(
        _ operation: SiteModel.Operation, _ vm: String = "orders", _ arguments: [String: String] = [:],
        by engine: RecoveryEngine? = nil
    ) async throws -> Job {
        try await (engine ?? self.engine).perform(operation, on: try await relationship(vm).id, arguments: arguments)
    }

    /// Time passes and one more point is made.
    func cycle(_ vm: String = "orders") async throws {
        clock.advance(seconds: 30)
        try await run(.sync, vm)
    }

    /// Content of the newest point at a host.
    func newestPoint(_ vm: String = "orders", at host: String) async throws -> [String: Blocks]? {
        world.store(try await relationship(vm).id, at: host).points.last?.content
    }

    /// Content of the VM's disks at a host.
    func disks(_ vm: String = "orders", at host: String) -> [String: Blocks] {
        var disks: [String: Blocks] = [:]
        for disk in ["vda", "vdb"] { disks[disk] = world.content(vm, at: host, disk) }
        return disks
    }
}

struct FakeConnections: Connections {
    let world: FakeWorld
    let fuse: Fuse

    func hypervisor(of host: SiteModel.Host) async throws -> any Hypervisor {
        FakeHypervisor(world: world, host: host.id, fuse: fuse)
    }

    func agent(of host: SiteModel.Host) async throws -> any Agent {
        FakeAgent(world: world, host: host.id, fuse: fuse)
    }
}

/// A fence that ends the site: what runs there is killed and nothing answers.
struct FakeFencing: Fencing {
    let world: FakeWorld
    let fuse: Fuse

    func fence(_ host: SiteModel.Host) async -> FenceOutcome {
        let outcome: FenceOutcome? = try? await fuse.effect("fence") {
            guard !world.state.withLock({ $0.fenceIsBroken }) else { return .unknown("the fence is broken") }
            if world.state.withLock({ $0.fenceEndsGuestsOnly }) {
                world.endGuests(host.id)
            } else {
                world.lose(host.id)
            }
            return .proven
        }
        return outcome ?? .unknown("the engine is dead")
    }
}

/// Runs what must fail, and returns the engine's error.
func engineError(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async throws -> EngineError {
    try #require(await #expect(throws: EngineError.self, sourceLocation: sourceLocation) { try await body() })
}
