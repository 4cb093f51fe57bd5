import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("The engine in a simulated world")
struct EngineTests {
    @Test(
        "Protect, cycles, loss of the site, failover, commit, reverse: the loss is exactly what came after the last point"
    )
    func wholeWay() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            for _ in 1...3 { try await rig.cycle() }
            let began = rig.world.clock.now
            try await rig.world.clock.sleep(seconds: 7)
            rig.world.lose(site: "a")
            try await rig.perform(.unplannedFailover, "orders", ["source": "fence"])
            let loss = try rig.world.loss(of: "orders", from: "a", to: "b")
            let seconds = rig.world.clock.now.seconds(since: began)
            #expect((65...80).contains(loss.writes), "10 writes a second for 7 s and the cycle's own time: \(loss)")
            #expect(loss.bytes == UInt64(loss.writes) * 4096)
            #expect(loss.seconds >= 6.5 && loss.seconds <= seconds)
            #expect(rig.world.running("orders") == ["b"])
            try await rig.perform(.commit)
            rig.world.restore(site: "a")
            try await rig.perform(.reverse)
            #expect(try await rig.relationship().state == .protected)
            try await rig.cycle()
            try await rig.perform(.plannedFailover)
            #expect(rig.world.running("orders") == ["a"])
            #expect(try rig.world.loss(of: "orders", from: "b", to: "a").writes == 0)
        }
        #expect(rig.world.violations == [])
    }

    @Test("A planned failover loses nothing")
    func planned() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            try await rig.cycle()
            try await rig.perform(.plannedFailover)
            #expect(try rig.world.loss(of: "orders", from: "a", to: "b").writes == 0)
            #expect(rig.world.running("orders") == ["b"])
        }
        #expect(rig.world.violations == [])
    }

    @Test("Forty VMs, cycles side by side, the site lost: each comes up with exactly what its last point held")
    func many() async throws {
        let names = (1...40).map { "vm\($0)" }
        let rig = try Rig(vms: names, writesPerSecond: 2)
        try await rig.world.run {
            try await rig.setUp()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names { group.addTask { try await rig.protect(name) } }
                try await group.waitForAll()
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, name) in names.enumerated() {
                    group.addTask {
                        try await rig.world.clock.sleep(seconds: Double(number) * 0.7)
                        for _ in 1...4 { try await rig.cycle(name) }
                    }
                }
                try await group.waitForAll()
            }
            let lostAt = rig.world.clock.now
            rig.world.lose(site: "a")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask { try await rig.perform(.unplannedFailover, name, ["source": "declared lost"]) }
                }
                try await group.waitForAll()
            }
            for name in names {
                let point = try await rig.engine.vault.read { vault in
                    let relationship = try vault.object(Relationship.self, named: name, parent: nil)
                    return try relationship?.failover.flatMap {
                        try vault.object(RecoveryPoint.self, id: $0.generation)
                    }
                }
                let age = lostAt.seconds(since: try #require(point).value.at)
                let loss = try rig.world.loss(of: name, from: "a", to: "b")
                #expect(abs(Double(loss.writes) - age * 2) <= 2, "\(name): \(loss) for \(age) s at 2 writes a second")
                #expect(rig.world.running(name) == ["b"])
            }
        }
        #expect(rig.world.violations == [])
    }

    @Test("A link that is cut in the middle of a first copy fails it; once it is mended the copy is made")
    func cutLink() async throws {
        let rig = try Rig(disks: [NewDisk(target: "vda", size: 8 << 30, used: 4 << 30)])
        try await rig.world.run {
            try await rig.setUp()
            rig.world.change { $0.links[SitePair("a", "b"), default: SimulatedLink()].bytesPerSecond = 1e7 }
            rig.world.after(60) { $0.setLink("a", "b", cut: true) }
            await #expect(throws: EngineError.self) { try await rig.protect() }
            rig.world.setLink("a", "b", cut: false)
            try await rig.protect()
            #expect(try await rig.relationship().state == .protected)
        }
        #expect(rig.world.violations == [])
    }

    @Test(
        "A full target fails the cycle and keeps what is there; a guest that ignores its button fails a planned failover"
    )
    func refusals() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
            rig.world.fill("b", leaving: 1000)
            await #expect(throws: EngineError.self) { try await rig.cycle() }
            rig.world.fill("b", leaving: 1 << 40)
            try await rig.cycle()
            try rig.world.setGuest("orders", at: "a") { $0.ignoresPowerButton = true }
            await #expect(throws: EngineError.self) {
                try await rig.perform(.plannedFailover, "orders", ["shutdown_limit": "20"])
            }
            #expect(rig.world.running("orders") == ["a"])
        }
        #expect(rig.world.violations == [])
    }

    @Test("A world is a value: what happens in a copy does not happen in it")
    func copies() async throws {
        let rig = try Rig()
        try await rig.world.run {
            try await rig.setUp()
            try await rig.protect()
        }
        let copy = World(rig.world.look { $0 })
        copy.lose(site: "a")
        #expect(copy.running("orders") == [] && rig.world.running("orders") == ["a"])
    }
}
