import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("The schedule of cycles in a simulated world")
struct ScheduleTests {
    /// VMs over hosts of two sites, protected, and a replicator that runs for so long.
    private func replicate(
        vms: Int, hosts: Int, seconds: Double, limits: CycleLimits = CycleLimits(),
        during: @escaping @Sendable (World, RecoveryEngine, ReplicatorGauge) async throws -> Void = { _, _, _ in }
    ) async throws -> (world: World, engine: RecoveryEngine, figures: ReplicatorFigures) {
        var state = WorldState(seed: 7)
        for site in ["a", "b"] {
            for number in 0..<hosts { state.addHost("\(site)\(number)", site: site, networks: ["prod"]) }
        }
        for number in 0..<vms {
            var vm = NewVM(name: "vm\(number)")
            vm.nics = [NewNIC(network: "prod")]
            vm.guest.writesPerSecond = 1
            try state.addVM(vm, at: "a\(number % hosts)")
        }
        let world = World(state)
        let engine = RecoveryEngine(world.dependencies())
        let gauge = ReplicatorGauge()
        let figures = try await world.run { () -> ReplicatorFigures in
            for host in world.hosts { try await engine.ensureHost(host) }
            let policy = try await engine.ensurePolicy(
                Policy(id: world.identifiers.next(), name: "fast", copyFrequencySeconds: 30, recoveryPoints: 2))
            for number in 0..<vms {
                try await engine.replicate(
                    vm: "vm\(number)", from: world.hosts[number % hosts], to: world.hosts[hosts + number % hosts],
                    policy: policy, networks: ["prod": "prod"])
            }
            let loop = Task(executorPreference: world.executor) {
                try await Replicator(engine: engine, limits: limits, gauge: gauge) { _ in }.run()
            }
            try await during(world, engine, gauge)
            try await world.clock.sleep(seconds: seconds)
            loop.cancel()
            _ = await loop.result
            return gauge.figures
        }
        #expect(world.violations == [])
        return (world, engine, figures)
    }

    @Test("A hundred VMs keep cycles of 30 s: none late, none missed, each its turn")
    func onTime() async throws {
        let (_, engine, figures) = try await replicate(vms: 100, hosts: 4, seconds: 300) { world, engine, _ in
            // What was missed while one after the other was protected is no matter of the schedule.
            try await world.clock.sleep(seconds: 60)
            for item in try await engine.health().items {
                try await engine.resetStatistics(of: item.relationship.id)
            }
        }
        #expect(figures.late == 0 && figures.failed == 0, "\(figures)")
        #expect((1150...1320).contains(figures.succeeded), "\(figures)")
        let health = try await engine.health()
        #expect(health.count(.normal) == 100)
        for item in health.items {
            let counts = try #require(item.statistics).counts
            #expect(counts.succeeded >= 9 && counts.missed == 0, "\(item.name): \(counts)")
        }
    }

    @Test("The same seed gives the same figures")
    func deterministic() async throws {
        let first = try await replicate(vms: 20, hosts: 2, seconds: 120).figures
        let second = try await replicate(vms: 20, hosts: 2, seconds: 120).figures
        #expect(first == second)
    }

    @Test("A target that is away for ten minutes: health critical, alerts once, all back afterwards")
    func outage() async throws {
        let (_, engine, figures) = try await replicate(vms: 12, hosts: 2, seconds: 400) { world, engine, _ in
            try await world.clock.sleep(seconds: 100)
            try await engine.watchHealth()
            for item in try await engine.health().items { #expect(item.ageAlert == nil) }
            try await engine.vault.write { vault in
                try vault.append(Event(at: Timestamp(milliseconds: 0), severity: .info, object: nil, text: "cut"))
            }
            world.setLink("a", "b", cut: true)
            try await world.clock.sleep(seconds: 600)
            let health = try await engine.health()
            #expect(health.count(.critical) == 12, "\(health.items.map(\.health))")
            #expect(health.items.allSatisfy { $0.ageAlert == .critical })
            world.setLink("a", "b", cut: false)
        }
        #expect(figures.failed >= 12 && figures.failed <= 12 * 8, "\(figures)")
        let health = try await engine.health()
        #expect(health.items.allSatisfy { $0.ageAlert == nil && $0.errors.allSatisfy { $0.code == "cycles-missed" } })
        let all = try await engine.vault.read { try $0.events(after: 0, limit: 100_000) }.map(\.event)
        let events = all.drop { $0.text != "cut" }
        for item in health.items {
            let own = events.filter { $0.object == item.relationship.id }
            #expect(own.count { $0.code == "age-critical" } == 1)
            #expect(own.count { $0.code == "age-normal" } == 1)
            #expect(own.count { $0.code == "health-critical" } == 1)
        }
    }

    @Test("A pause, a resume and another policy are taken up at once")
    func changes() async throws {
        let (_, _, figures) = try await replicate(vms: 2, hosts: 1, seconds: 1) { world, engine, _ in
            func made() async throws -> Int {
                let health = try await engine.health().items.first { $0.name == "vm0" }
                return try #require(health?.statistics).totals.succeeded
            }
            let found = try await engine.health().items.first { $0.name == "vm0" }
            let id = try #require(found).relationship.id
            try await world.clock.sleep(seconds: 100)
            let before = try await made()
            #expect((3...5).contains(before))
            try await engine.perform(.pause, on: id)
            try await world.clock.sleep(seconds: 70)
            #expect(try await made() == before)
            try await engine.perform(.resume, on: id)
            try await world.clock.sleep(seconds: 70)
            let resumed = try await made()
            #expect((3...4).contains(resumed - before), "its own point and two or three cycles")
            let policy = try await engine.vault.read { try $0.objects(Policy.self).map(\.value).first }
            var slower = try #require(policy)
            slower.copyFrequencySeconds = 900
            try await engine.ensurePolicy(slower)
            try await world.clock.sleep(seconds: 1000)
            #expect((1...2).contains(try await made() - resumed))
        }
        #expect(figures.failed == 0 && figures.late == 0, "\(figures)")
    }
}
