import BlockReplication
import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("Hourly points, by the engine's own schedule")
struct HourlyPointsTests {
    /// Seconds from cycle to cycle, points besides the newest, and hours that pass.
    @Test(
        "Hours of cycles leave one point an hour and the newest, whatever is tested meanwhile",
        arguments: [(30, 3, 4), (300, 24, 26)])
    func hours(period: Int, points: Int, hours: Double) async throws {
        let rig = try Rig(writesPerSecond: 0.2)
        try await rig.world.run {
            try await rig.setUp(points: points)
            try await rig.engine.vault.write { vault in
                var policy = try #require(try vault.object(Policy.self, named: "fast", parent: nil))
                policy.value.copyFrequencySeconds = period
                try vault.update(policy)
            }
            try await rig.protect()
            let loop = Task(executorPreference: rig.world.executor) {
                try await Replicator(engine: rig.engine) { _ in }.run()
            }
            try await rig.world.clock.sleep(seconds: Double(period) * Double(points) + 60)
            // So soon there are no hours, but points to go back to all the same.
            let first = try await instants(rig)
            #expect(first.count == points + 1)
            try await rig.perform(.testFailover, "orders", [:])
            let tested = try #require(try await rig.relationship().test?.generation)

            try await rig.world.clock.sleep(seconds: hours * 3600)
            let id = try await rig.relationship().id
            var kept = try await self.points(rig)
            #expect(kept.contains { $0.id == tested }, "a test VM's point stays beyond its time")
            kept.removeAll { $0.id == tested }
            let now = rig.world.clock.now.milliseconds / 1000
            let seconds = kept.map { $0.at.milliseconds / 1000 }
            #expect(seconds.count == points + 1 && now - (seconds.last ?? 0) <= 2 * Int64(period))
            for (back, second) in seconds.dropLast().reversed().enumerated() {
                let hour = (now / 3600 - Int64(back)) * 3600
                #expect(
                    (0..<2 * Int64(period)).contains(second - hour),
                    "\(second) is the point of the hour from \(hour) on")
            }
            let atHost = try await SimulatedAgent(world: rig.world, host: "b").points(relationship: id)
            #expect(Set(atHost.map(\.generation)) == Set(kept.map(\.id) + [tested]))

            try await rig.perform(.cleanUpTest, "orders", [:])
            try await rig.world.clock.sleep(seconds: 2 * Double(period))
            #expect(try await self.points(rig).count == points + 1)
            loop.cancel()
            _ = await loop.result
        }
        #expect(rig.world.violations == [])
    }

    private func points(_ rig: Rig) async throws -> [RecoveryPoint] {
        let id = try await rig.relationship().id
        return try await rig.engine.vault.read { vault in
            try vault.objects(RecoveryPoint.self, parent: id).map(\.value).sorted { $0.number < $1.number }
        }
    }

    private func instants(_ rig: Rig) async throws -> [Int64] {
        try await self.points(rig).map { $0.at.milliseconds / 1000 }
    }
}
