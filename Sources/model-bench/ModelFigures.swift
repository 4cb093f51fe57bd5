import BenchFigures
import Glibc
import RecoveryEngine
import SiteModel
import Simulation
import VaultStore

private let vms = 1000

/// Some time of a thousand VMs that are copied, at whose end the site is lost and all are failed over.
private struct Load: Sendable {
    /// Simulated seconds.
    var span: Double
    /// Seconds between two points of one VM.
    var every: Double

    static let usual = Load(span: 3600, every: Double(Policy(id: "", name: "").copyFrequencySeconds))
    static let densest = Load(span: 600, every: 30)

    var rounds: Int { Int(span / every) }

    /// Waits until a VM's next turn: turns of different VMs are spread evenly.
    func turn(_ number: Int, _ round: Int, since start: Timestamp, _ world: World) async throws {
        let due = every * (Double(round) + Double(number) / Double(vms))
        try await world.clock.sleep(seconds: max(0, due - world.clock.now.seconds(since: start)))
    }
}

let modelFigures: [Figure] = [
    Figure(
        name: "\(vms) VMs simulated: an hour at the usual copy frequency, site lost, all failed over",
        unit: "x real time", goal: .least(1000), ours: { try await speedOfDrivers(.usual) }),
    Figure(
        name: "the same with the engine: jobs, stages, leases, vault in memory", unit: "x real time", goal: .none,
        ours: { try await speedOfEngine(.usual) }),
    Figure(
        name: "\(vms) VMs simulated: ten minutes of a copy every 30 s, site lost, all failed over",
        unit: "x real time", goal: .none, ours: { try await speedOfDrivers(.densest) }),
    Figure(
        name: "these ten minutes with the engine", unit: "x real time", goal: .none,
        ours: { try await speedOfEngine(.densest) }),
    Figure(
        name: "one cycle of one VM through the engine", unit: "us", goal: .none,
        ours: {
            let load = Load.densest
            return 1e6 * load.span / (try await speedOfEngine(load)) / Double(vms * load.rounds)
        }),
]

private func makeWorld() throws -> World {
    var state = WorldState(seed: 1)
    state.addHost("a", site: "a", networks: ["prod"], capacity: 64 << 40)
    state.addHost("b", site: "b", networks: ["prod"], capacity: 64 << 40)
    var link = SimulatedLink()
    link.bytesPerSecond = 1.25e9
    state.links[SitePair("a", "b")] = link
    for number in 1...vms {
        var vm = NewVM(name: "vm\(number)")
        vm.nics = [NewNIC(network: "prod")]
        vm.guest.writesPerSecond = 0.2
        try state.addVM(vm, at: "a")
    }
    return World(state)
}

private func speed(_ world: World, _ body: @escaping @Sendable () async throws -> Double) async throws -> Double {
    let began = processSeconds()
    let simulated = try await world.run(body)
    let real = processSeconds() - began
    guard world.violations.isEmpty else { throw BenchError(what: world.violations.joined(separator: "; ")) }
    return simulated / real
}

/// CPU time of this process: all is done on one thread, and other programs are no part of the figure.
private func processSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

struct BenchError: Error { let what: String }

// MARK: With the engine

private func speedOfEngine(_ load: Load) async throws -> Double {
    let world = try makeWorld()
    let engine = RecoveryEngine(world.dependencies())
    // The first copies are not part of the figure.
    let relationships = try await world.run { () -> [String] in
        for host in world.hosts { try await engine.ensureHost(host) }
        let policy = try await engine.ensurePolicy(
            Policy(
                id: world.identifiers.next(), name: "copied", copyFrequencySeconds: Int(load.every), recoveryPoints: 2))
        let (source, target) = (world.hosts[0], world.hosts[1])
        var relationships: [String] = []
        for number in 1...vms {
            let made = try await engine.replicate(
                vm: "vm\(number)", from: source, to: target, policy: policy, networks: ["prod": "prod"])
            relationships.append(made.id)
        }
        return relationships
    }
    return try await speed(world) {
        let start = world.clock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, relationship) in relationships.enumerated() {
                group.addTask {
                    for round in 0..<load.rounds {
                        try await load.turn(number, round, since: start, world)
                        try await engine.perform(.sync, on: relationship)
                    }
                }
            }
            try await group.waitForAll()
        }
        world.lose(site: "a")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for relationship in relationships {
                group.addTask {
                    try await engine.perform(
                        .unplannedFailover, on: relationship, arguments: ["source": "declared lost"])
                }
            }
            try await group.waitForAll()
        }
        return world.clock.now.seconds(since: start)
    }
}

// MARK: The drivers alone

private func speedOfDrivers(_ load: Load) async throws -> Double {
    let world = try makeWorld()
    let cycles = (1...vms).map { DriverCycles(world, "vm\($0)") }
    let first = try await world.run { () -> [String] in
        var first: [String] = []
        for cycle in cycles { first.append(try await cycle.point(1, after: nil)) }
        return first
    }
    return try await speed(world) {
        let start = world.clock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, cycle) in cycles.enumerated() {
                group.addTask {
                    var newest = first[number]
                    for round in 0..<load.rounds {
                        try await load.turn(number, round, since: start, world)
                        newest = try await cycle.point(round + 2, after: newest)
                    }
                    try await world.clock.sleep(
                        seconds: load.span + load.every - world.clock.now.seconds(since: start))
                    if number == 0 { world.lose(site: "a") }
                    try await cycle.failOver(to: newest)
                }
            }
            try await group.waitForAll()
        }
        return world.clock.now.seconds(since: start)
    }
}
