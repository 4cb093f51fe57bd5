import BlockReplication
import Hypervisors
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Synchronization
import VaultStore

/// Connects to the sites of a world by the host's site.
struct FakeConnections: Connections {
    let world: FakeWorld

    func hypervisor(of host: Host) async throws -> any Hypervisor { FakeHypervisor(world: world, site: host.site) }
    func agent(of host: Host) async throws -> any Agent { FakeAgent(world: world, site: host.site) }
}

struct FakeFencing: Fencing {
    let world: FakeWorld

    func fence(_ host: Host) async -> FenceOutcome {
        world.lose(host.site)
        return .proven
    }
}

/// A clock that runs three times as fast as the machine's, so that scripts need not be waited for.
struct FastClock: EngineClock {
    private static let speed = 3.0
    private let began = ContinuousClock.now

    var now: Timestamp {
        let (seconds, attoseconds) = began.duration(to: .now).components
        let elapsed = Double(seconds) + Double(attoseconds) / 1e18
        return Timestamp(milliseconds: 1_700_000_000_000).advanced(bySeconds: elapsed * Self.speed)
    }

    func sleep(seconds: Double) async throws {
        try await Task.sleep(for: .seconds(seconds / Self.speed), tolerance: nil, clock: .continuous)
    }
}

/// Numbered identifiers.
final class CountingIdentifiers: IdentifierSource {
    private let count = Mutex(0)

    func next() -> String {
        count.withLock {
            $0 += 1
            return "id-\($0)"
        }
    }
}

/// The lab, played by a world.
struct FakeLabPower: LabPower {
    let world: FakeWorld

    func site(_ name: String) async throws -> LabSite {
        LabSite(
            name: name, uri: "fake:///\(name)", agent: "/run/\(name).sock", address: "\(name):7731", store: "/points",
            fence: ["/bin/fence", name])
    }

    func address(ofGuest name: String) async throws -> String { FakeWorld.addresses[name] ?? "" }

    func recordsAtPowerOff(ofGuest name: String, site: String) async throws -> Int64? {
        world.change(site) { $0.powerOffs[name].map(Int64.init) }
    }

    func lose(_ site: String) async throws { world.lose(site) }
    func restore(_ site: String) async throws { world.change(site) { $0.isUp = true } }
}

/// Lines that a script printed.
final class Printed: Sendable {
    private let lines = Mutex<[String]>([])

    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
    var text: String { all.joined(separator: "\n") }
}

/// An engine over a fake world, and what is needed to run scripts on it.
struct Bench: Sendable {
    let world: FakeWorld
    let printed = Printed()
    let engine: RecoveryEngine

    init(world: FakeWorld = FakeWorld()) {
        self.world = world
        engine = RecoveryEngine(
            EngineDependencies(
                vault: MemoryVault(), connections: FakeConnections(world: world), fencing: FakeFencing(world: world),
                clock: FastClock(), identifiers: CountingIdentifiers(), holder: "test", leaseLifetime: 10_000))
    }

    func options(grants: Set<Power> = [.lab, .hosts]) -> ScriptOptions {
        ScriptOptions(standardLibrary: Project.path("stdlib"), grants: grants, labPower: FakeLabPower(world: world))
    }

    @discardableResult
    func run(_ text: String, grants: Set<Power> = [.lab, .hosts], name: String = "test.lua") async throws -> RunOutcome
    {
        let printed = printed
        return try await ScriptRunner(engine: engine, options: options(grants: grants))
            .run(text: text, name: name) { printed.append($0) }
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
