import RecoveryEngine
import SiteModel
import Simulation
import Testing

@Suite("Determinism")
struct DeterminismTests {
    /// A run with many things at once: cycles side by side, faults by chance, a site lost in the middle.
    private func trace(seed: UInt64, order: SimulationExecutor.Order = .arrival) async throws -> [String] {
        let names = (1...6).map { "vm\($0)" }
        let rig = try Rig(vms: names, writesPerSecond: 3, seed: seed, order: order, traced: true)
        try await rig.world.run {
            try await rig.setUp()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names { group.addTask { try await rig.protect(name) } }
                try await group.waitForAll()
            }
            var slow = Fault(.slow(factor: 50), call: "agent.", host: "b")
            slow.probability = 0.2
            rig.world.add(slow)
            var broken = Fault(.fails, call: "hypervisor.begin-backup")
            broken.probability = 0.1
            rig.world.add(broken)
            rig.world.after(100) { $0.lose(site: "a") }
            await withTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask {
                        for _ in 1...4 { try? await rig.cycle(name) }
                    }
                }
            }
            rig.world.clearFaults()
            await withTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask {
                        _ = try? await rig.perform(.unplannedFailover, name, ["source": "declared lost"])
                    }
                }
            }
            #expect(names.allSatisfy { rig.world.running($0) == ["b"] })
        }
        #expect(rig.world.violations == [])
        return rig.world.trace
    }

    @Test("The same seed gives the same trace, line by line; another seed gives another", arguments: [1, 7, 23])
    func sameSeed(seed: UInt64) async throws {
        let first = try await trace(seed: seed)
        let second = try await trace(seed: seed)
        #expect(first.count > 500)
        #expect(first == second)
        #expect(try await trace(seed: seed + 1) != first)
    }

    @Test("A shuffled order is another interleaving, and repeatable as well", arguments: [1, 2, 3])
    func shuffled(seed: UInt64) async throws {
        let first = try await trace(seed: 1, order: .shuffled(seed: seed))
        #expect(try await trace(seed: 1, order: .shuffled(seed: seed)) == first)
        #expect(try await trace(seed: 1) != first)
    }

    @Test("Time jumps: a day of waiting costs no time, and is exactly a day")
    func jumps() async throws {
        let world = try Rig().world
        let (clock, began) = (world.clock, ContinuousClock.now)
        let seconds = try await world.run {
            let before = clock.now
            try await clock.sleep(seconds: 86_400)
            return clock.now.seconds(since: before)
        }
        #expect(seconds == 86_400)
        #expect(ContinuousClock.now - began < .seconds(3600), "the machine may be busy, but not for an hour")
    }

    @Test("What waits outside the simulation is noticed")
    func outside() async throws {
        let world = try Rig().world
        let error = try #require(
            await #expect(throws: SimulationError.self) {
                try await world.run { try await Task.sleep(for: .milliseconds(1)) }
            })
        #expect(error.code == .outside)
    }

    @Test("What waits for nothing that will come is an error, not a hang")
    func stuck() async throws {
        let world = try Rig().world
        let error = try #require(
            await #expect(throws: SimulationError.self) {
                try await world.run {
                    let never = AsyncStream<Int> { _ in }
                    for await _ in never {}
                }
            })
        #expect(error.code == .stuck)
    }

    @Test("A sleep that is cancelled ends at once, at the time it is")
    func cancelled() async throws {
        let world = try Rig().world
        let clock = world.clock
        try await world.run {
            let before = clock.now
            await withTaskGroup(of: Bool.self) { group in
                group.addTask { (try? await clock.sleep(seconds: 1000)) == nil }
                try? await clock.sleep(seconds: 1)
                group.cancelAll()
                #expect(await group.next() == true)
            }
            #expect(clock.now.seconds(since: before) == 1)
        }
        #expect(clock.sleeping == 0)
    }
}
