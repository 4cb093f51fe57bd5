import RecoveryEngine
import SiteModel
import Simulation
import Testing

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
}
