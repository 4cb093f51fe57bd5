import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Synchronization
import VaultStore

/// The lab, played by a simulated world.
struct TestLab: LabPower {
    let world: World

    func site(_ name: String) async throws -> LabSite {
        LabSite(
            name: name, uri: SimulatedConnections.uri("host-\(name)"), agent: "/run/\(name).sock",
            address: "host-\(name):7707", store: "/points", fence: ["/bin/fence", name])
    }

    func address(ofGuest name: String) async throws -> String { Bench.addresses[name] ?? "" }

    func recordsAtPowerOff(ofGuest name: String, site: String) async throws -> Int64? {
        world.look { state in
            state.hosts["host-\(site)"]?.domains.values.first { $0.name == name }?.writesAtPowerOff.map(Int64.init)
        }
    }

    func lose(_ site: String) async throws { world.lose(site: site) }
    func restore(_ site: String) async throws { world.restore(site: site) }
}

/// Lines that a script printed.
final class Printed: Sendable {
    private let lines = Mutex<[String]>([])

    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
    var text: String { all.joined(separator: "\n") }
}

/// An engine over two simulated sites with three guests at site a, and what is needed to run scripts on it.
struct Bench: Sendable {
    static let addresses = ["vmm01": "10.77.0.10", "orders": "10.77.0.11", "web": "10.77.0.12"]

    let world: World
    let printed = Printed()
    let engine: RecoveryEngine

    init() throws {
        var state = WorldState(seed: 1)
        state.addHost("host-a", site: "a", networks: ["gold-net", "test-net"], store: "/points")
        state.addHost("host-b", site: "b", networks: ["silver-net", "test-net"], store: "/points")
        for (name, address) in Self.addresses.sorted(by: { $0.key < $1.key }) {
            var vm = NewVM(name: name, disks: [NewDisk(target: "vda", size: 1 << 30, used: 256 << 20)])
            vm.nics = [NewNIC(network: "gold-net")]
            vm.guest.address = address
            vm.guest.writesPerSecond = 20
            try state.addVM(vm, at: "host-a")
        }
        world = World(state)
        engine = RecoveryEngine(world.dependencies(holder: "test"))
    }

    func options(grants: Set<Power> = [.lab, .hosts]) -> ScriptOptions {
        ScriptOptions(standardLibrary: Project.path("stdlib"), grants: grants, labPower: TestLab(world: world))
    }

    @discardableResult
    func run(_ text: String, grants: Set<Power> = [.lab, .hosts], name: String = "test.lua") async throws -> RunOutcome
    {
        let (printed, engine, options) = (printed, engine, options(grants: grants))
        return try await world.run {
            try await ScriptRunner(engine: engine, options: options)
                .run(text: text, name: name) { printed.append($0) }
        }
    }

    /// Runs a script that must fail, and returns its error.
    func failure(of text: String, grants: Set<Power> = [.lab, .hosts]) async throws -> LuaError? {
        try await run(text, grants: grants).error
    }

    /// Lua that registers both sites and pairs the clouds `gold` and `silver`.
    static let setUp = """
        local vault = recovery.vault()
        for _, name in ipairs { "a", "b" } do
          local site = lab.site(name)
          vault:host { name = "host-" .. name, site = name, uri = site.uri, agent = site.agent,
            address = site.address, store = site.store, fence = site.fence }
        end
        local vmm = vault:server { name = "vmm01", vm = "vmm01" }
        local gold = vmm:cloud { name = "gold", hosts = { vault:host("host-a") } }
        local silver = vmm:cloud { name = "silver", hosts = { vault:host("host-b") } }
        local fast = vault:policy { name = "fast", copy_frequency = "30s", recovery_points = 4 }
        gold:pair { with = silver, policy = fast }
        gold:map_network { from = "gold-net", to = "silver-net" }

        """
}
