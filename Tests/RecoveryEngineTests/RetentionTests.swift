import BlockReplication
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("Which points a policy keeps")
struct RetentionTests {
    /// Cycles of one VM, and the instant of each.
    private final class Cycles {
        let rig: Rig
        var made: [RecoveryPoint] = []

        init(points: Int) async throws {
            rig = try await Rig(points: points)
            try await rig.protect()
            try await note()
        }

        func cycle(_ count: Int, every seconds: Double) async throws {
            for _ in 0..<count {
                rig.clock.advance(seconds: seconds - 30)
                try await rig.cycle()
                try await note()
            }
        }

        private func note() async throws {
            made.append(try #require(try await rig.points().max { $0.number < $1.number }))
        }

        /// The first that was made in each hour of the clock, oldest first; not the newest of all.
        var hourly: [Int] {
            var hours: Set<Int64> = []
            return made.dropLast().filter { hours.insert($0.at.milliseconds / 3_600_000).inserted }.map(\.number)
        }

        /// What the vault lists, which is what the target has.
        func kept() async throws -> [Int] {
            let points = try await rig.points().sorted { $0.number < $1.number }
            let id = try await rig.relationship().id
            #expect(rig.world.store(id, at: "b").points.map(\.summary.generation) == points.map(\.id))
            return points.map(\.number)
        }
    }

    @Test("The newest and the first of each hour stay; a test's point stays besides, until the test is over")
    func hourly() async throws {
        let cycles = try await Cycles(points: 2)
        let rig = cycles.rig
        try await cycles.cycle(3, every: 30)
        #expect(try await cycles.kept().count == 3, "before there are hours, other points fill the room")
        try await cycles.cycle(7, every: 240)
        try await rig.run(.testFailover, "orders")
        let tested = try #require(cycles.made.last?.number)
        #expect(!cycles.hourly.contains(tested))
        try await cycles.cycle(40, every: 300)
        let newest = try #require(cycles.made.last?.number)
        let kept = try await cycles.kept()
        #expect(kept == [tested] + cycles.hourly.suffix(2) + [newest])
        try await rig.run(.cleanUpTest, "orders")
        try await cycles.cycle(1, every: 30)
        let (last, after) = (try #require(cycles.made.last?.number), try await cycles.kept())
        #expect(after == cycles.hourly.suffix(2) + [last])
        #expect(rig.world.violations == [])
    }

    @Test("With no points besides, the newest alone stays")
    func newest() async throws {
        let cycles = try await Cycles(points: 0)
        try await cycles.cycle(30, every: 300)
        #expect(try await cycles.kept() == [31])
    }
}
