import BlockReplication
import Hypervisors
import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("A copy of the vault that missed the last seconds")
struct OwnershipNewsTests {
    private func rig() async throws -> Rig { try await Undertaking.unplannedFailover.rig(points: 2) }

    private func relationship(_ vault: MemoryVault) async throws -> Relationship {
        try #require(try await vault.read { try $0.object(Relationship.self, named: "orders", parent: nil)?.value })
    }

    /// What must be the same in a copy that has learned of it, whatever it does not know of points and times.
    private func essence(_ relationship: Relationship) -> [String] {
        [
            relationship.owner, "\(relationship.epoch)", relationship.state.rawValue, relationship.source,
            relationship.target, relationship.checkpoint ?? "", "\(String(describing: relationship.failover))",
            "\(String(describing: relationship.leftCopy))",
            relationship.disks.map { "\($0.images.sorted { $0.key < $1.key })" }.joined(),
        ]
    }

    private func watch(_ rig: Rig, _ vault: MemoryVault) async throws -> [WatchNews] {
        let news = Mutex<[WatchNews]>([])
        try await SiteWatch(engine: rig.engine(over: vault)) { one in news.withLock { $0.append(one) } }.look()
        return news.withLock { $0 }
    }

    private func critical(_ vault: MemoryVault) async throws -> Int {
        try await vault.read { try $0.events(about: nil, limit: 1000) }.filter { $0.severity == .critical }.count
    }

    enum Missed: String, CaseIterable, Sendable {
        case plannedFailover, failoverByFence, failoverToOlderPoint, changePoint, undo, undoWithoutTarget
    }

    private func before(_ missed: Missed, _ rig: Rig) async throws {
        guard [.changePoint, .undo, .undoWithoutTarget].contains(missed) else { return }
        try await rig.run(.unplannedFailover)
    }

    private func happens(_ missed: Missed, _ rig: Rig) async throws {
        switch missed {
        case .plannedFailover: try await rig.run(.plannedFailover)
        case .failoverByFence: try await rig.run(.unplannedFailover, "orders", ["source": "fence"])
        case .failoverToOlderPoint: try await rig.run(.unplannedFailover, "orders", ["point": "2"])
        case .changePoint: try await rig.run(.changePoint, "orders", ["point": "2"])
        case .undo: try await rig.run(.undo)
        case .undoWithoutTarget:
            rig.world.lose("b")
            try await rig.run(.undo, "orders", ["target": "declared lost"])
        }
    }

    @Test(
        "It learns the whole of what it missed from the new owner, and goes on from there", arguments: Missed.allCases)
    func learns(_ missed: Missed) async throws {
        let rig = try await rig()
        try await before(missed, rig)
        let copy = try await rig.vault.copy()
        try await happens(missed, rig)
        let (owner, missedEpoch) = (try await rig.relationship().owner, try await relationship(copy).epoch)
        #expect(missedEpoch + 1 == (try await rig.relationship().epoch))

        #expect(try await watch(rig, copy) == [.takenOver(vm: "orders", host: owner)])
        #expect(try await essence(relationship(copy)) == essence(rig.relationship()))
        #expect(try await watch(rig, copy) == [])
        #expect(try await critical(copy) == 0)

        rig.world.bringBack("a")
        rig.world.bringBack("b")
        rig.world.write("orders", at: owner, [7: 700])
        let engine = rig.engine(over: copy)
        let id = try await relationship(copy).id
        if missed == .undo || missed == .undoWithoutTarget {
            _ = try await engine.perform(.sync, on: id)
            #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        } else {
            _ = try await engine.perform(.commit, on: id)
            _ = try await engine.perform(.reverse, on: id)
            #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        }
        #expect(rig.world.violations == [])
    }

    @Test("Asked for a failover that has happened already, it learns of it first and refuses the second one")
    func asked() async throws {
        let rig = try await rig()
        let copy = try await rig.vault.copy()
        rig.world.lose("a")
        try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        let engine = rig.engine(over: copy)
        let id = try await relationship(copy).id
        let error = try await engineError {
            _ = try await engine.perform(.unplannedFailover, on: id, arguments: ["source": "declared lost"])
        }
        #expect(error.kind == .refused)
        #expect(try await relationship(copy).failover?.sourceVerdict == .declared)
        #expect(rig.world.violations == [])
    }

    @Test("A failover that had only been claimed is known, with word that the VM does not run")
    func halfDone() async throws {
        let rig = try await rig()
        let copy = try await rig.vault.copy()
        let id = try await rig.relationship().id
        _ = try await rig.engine.perform(.plannedFailover, on: id, hold: .define)
        #expect(try await watch(rig, copy) == [.takenOver(vm: "orders", host: "b")])
        let known = try await relationship(copy)
        #expect(known.owner == "b" && known.epoch == 2 && known.checkpoint == nil, "nothing is tracked yet")
        let events = try await copy.read { try $0.events(about: id, limit: 9) }
        #expect(events.contains { $0.text.contains("does not run there") })
        // The way on that it names.
        _ = try await rig.engine(over: copy).perform(.undo, on: id)
        #expect(rig.world.power("orders", at: "a") == .running)
        #expect(rig.world.violations == [])
    }

    /// A claim by the vault's source is of a reversal that this copy of the vault has missed.
    @Test("A host's own claim in the other direction is more than it can make up for", arguments: ["a", "b"])
    func claims(_ owner: String) async throws {
        let relationship = try await rig().relationship()
        let claim = HostClaim(generation: "g", number: 1, verdict: .declared, at: Timestamp(milliseconds: 0))
        let record = OwnershipRecord(
            relationship: relationship.id, vmUUID: relationship.vmUUID, owner: owner, epoch: relationship.epoch + 2,
            host: owner, claim: claim)
        let news = OwnershipNews(record, over: relationship)
        #expect(news?.kind == (owner == relationship.target ? .hostFailover : nil))
    }

    @Test("What it missed more than one step of, it does not guess: it says that it is behind, and changes nothing")
    func tooFar() async throws {
        for further in [SiteModel.Operation.reverse, .undo] {
            let rig = try await rig()
            let copy = try await rig.vault.copy()
            try await rig.run(.plannedFailover)
            if further == .reverse { try await rig.run(.commit) }
            try await rig.run(further)
            let before = try await relationship(copy)
            let powers = ["a", "b"].map { rig.world.power("orders", at: $0) }
            #expect(try await watch(rig, copy) == [])
            let after = try await relationship(copy)
            #expect(after.owner == before.owner && after.epoch == before.epoch && after.state == before.state)
            #expect(["a", "b"].map { rig.world.power("orders", at: $0) } == powers)
            #expect(try await critical(copy) >= 1, "after \(further)")
            #expect(rig.world.violations == [])
        }
    }

    @Test("With the new owner out of reach, the former owner's record says only that the copy is behind")
    func ownerIsAway() async throws {
        let rig = try await rig()
        let copy = try await rig.vault.copy()
        try await rig.run(.plannedFailover)
        rig.world.cutOff("b")
        _ = try await watch(rig, copy)
        #expect(try await relationship(copy).epoch == 1)
        #expect(try await critical(copy) == 1)
        rig.world.bringBack("b")
        #expect(try await watch(rig, copy) == [.takenOver(vm: "orders", host: "b")])
    }
}
