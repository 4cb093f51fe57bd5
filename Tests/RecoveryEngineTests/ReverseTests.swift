import RecoveryEngine
import SiteModel
import Synchronization
import Testing

@Suite("Reversal sends the union of what either side wrote since they parted")
struct ReverseTests {
    /// What became of the source before the failover.
    enum SourceEnd: String, CaseIterable, Sendable {
        case cleanStop, killed, siteLost, writtenAfterLastCycle, killedAfterLastCycle
    }

    private func overAndBack(_ end: SourceEnd, point: String) async throws -> Rig {
        let rig = try await Rig(points: 4)
        rig.world.state.withLock { $0.guestsWriteAtOnce = true }
        try await rig.protect()
        for round in 1...4 {
            // Each round overwrites a block of the round before, so that points differ in every way.
            rig.world.write("orders", at: "a", [round: round * 10, round + 1: round * 11, 20 + round: round])
            rig.world.write("orders", at: "a", disk: "vdb", [30 + round: round])
            try await rig.cycle()
        }
        switch end {
        case .cleanStop: break
        case .killed: rig.world.kill("orders", at: "a")
        case .siteLost: rig.world.lose("a")
        case .writtenAfterLastCycle: rig.world.write("orders", at: "a", [50: 50, 1: -1])
        case .killedAfterLastCycle:
            rig.world.write("orders", at: "a", [50: 50, 1: -1])
            rig.world.kill("orders", at: "a")
        }
        try await rig.run(.unplannedFailover, "orders", ["point": point, "source": "declared lost"])
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [1: 1001, 60: 60])
        rig.world.bringBack("a")
        try await rig.run(.reverse)
        return rig
    }

    @Test(arguments: SourceEnd.allCases, ["latest", "4", "3", "1"])
    func oldOwnerHoldsExactlyWhatTheNewOneDoes(_ end: SourceEnd, _ point: String) async throws {
        let rig = try await overAndBack(end, point: point)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(try await rig.points().count == 1)
        rig.world.write("orders", at: "b", [61: 61])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    @Test func afterACleanStopOnlyTheUnionTravels() async throws {
        let rig = try await overAndBack(.writtenAfterLastCycle, point: "4")
        // vda: new owner 1, 60; old owner after its last cycle 50, 1; the newer point 4, 5, 24. vdb: the newer point 34.
        // Block 62 is what the guest writes when it starts.
        #expect(try await sentForNewest(rig) == 8)
    }

    @Test func plannedFailoverAndReverseSendAFewBlocks() async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [9: 9])
        try await rig.run(.plannedFailover)
        #expect(try await sentForNewest(rig) == 1, "the last point holds what was written since the one before")
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [8: 8, 7: 7])
        try await rig.run(.reverse)
        #expect(try await sentForNewest(rig) == 3, "8 and 7 of the new owner, 9 of the old one")
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
    }

    @Test func stoppedNewOwnerIsReversedFromItsFiles() async throws {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.run(.plannedFailover)
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [8: 8])
        rig.world.shutDownInside("orders", at: "b")
        try await rig.run(.reverse)
        #expect(try await sentForNewest(rig) == 1)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    @Test func newOwnerThatWasKilledIsCompared() async throws {
        let rig = try await Rig()
        try await rig.protect()
        try await rig.run(.unplannedFailover)
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [8: 8])
        rig.world.kill("orders", at: "b")
        rig.world.startByHand("orders", at: "b")
        rig.world.write("orders", at: "b", [9: 9])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    @Test func mapsThatAreGoneAreReplacedByComparing() async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [4: 44])
        try await rig.cycle()
        try await rig.run(.unplannedFailover, "orders", ["point": "1"])
        try await rig.run(.commit)
        let id = try await rig.relationship().id
        rig.world.change { state in
            state.hosts["b"]?.stores[id]?.points = []
            state.hosts["b"]?.stores[id]?.retired = []
        }
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    @Test func formerOwnerThatRunsIsNotOverwritten() async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.cutOff("a")
        try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        try await rig.run(.commit)
        let held = rig.disks(at: "a")
        rig.world.bringBack("a")
        let error = try await engineError { try await rig.run(.reverse) }
        #expect(error.rule == "one-writable-copy")
        #expect(try await rig.relationship().state == .committed)
        #expect(rig.disks(at: "a") == held)
        rig.world.shutDownInside("orders", at: "a")
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
    }

    private func sentForNewest(_ rig: Rig) async throws -> Int {
        let newest = try #require(try await rig.relationship().newestGeneration)
        return rig.world.state.withLock { $0.sent[newest] ?? 0 }
    }
}
