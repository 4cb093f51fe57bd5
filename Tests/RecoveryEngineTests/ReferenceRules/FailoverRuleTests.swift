import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Rules of failover, 11 to 30")
struct FailoverRuleTests {
    private let lost = ["source": "declared lost"]

    private func protected(points: Int = 2, vms: [String] = ["orders"]) async throws -> Rig {
        let rig = try await Rig(points: points, vms: vms)
        for vm in vms { try await rig.protect(vm) }
        for round in 1...2 {
            rig.world.write("orders", at: "a", [round * 10: round])
            try await rig.cycle()
        }
        return rig
    }

    @Test("rule 11: a lost source is not failed over by itself")
    func neverByItself() async throws {
        let rig = try await protected()
        rig.world.lose("a")
        let replicator = Replicator(engine: rig.engine) { _ in }
        rig.clock.standStill()
        let loop = Task { try await replicator.run() }
        for _ in 0..<40 {
            for _ in 0..<200 { await Task.yield() }
            rig.clock.advance(seconds: 30)
        }
        loop.cancel()
        _ = await loop.result
        let operations = Set(try await rig.jobs().map(\.operation))
        #expect(operations.isSubset(of: [.protect, .sync]), "\(operations)")
        #expect(try await rig.relationship().owner == "a")
        #expect(rig.world.power("orders", at: "b") == nil)
    }

    @Test("rule 12: a planned failover needs a whole first copy, a guest that goes down, and a source that can receive")
    func plannedNeeds() async throws {
        #expect(
            TransitionTable.transition(from: .firstCopy, .plannedFailover) == .refused(RuleBook.firstCopyIncomplete))
        let rig = try await protected()
        rig.world.setIgnoresShutdown("orders", at: "a", true)
        #expect(
            try await engineError { try await rig.run(.plannedFailover, "orders", ["shutdown_limit": "1"]) }.kind
                == .shutdownTimedOut)
        rig.world.setIgnoresShutdown("orders", at: "a", false)
        rig.world.setFreeBlocks(0, at: "a")
        #expect(try await engineError { try await rig.run(.plannedFailover) }.rule == "source-must-receive")
        #expect(rig.world.power("orders", at: "a") == .running)
        rig.world.setFreeBlocks(100_000, at: "a")
        try await rig.run(.plannedFailover)
        #expect(rig.world.power("orders", at: "a") == .off && rig.world.power("orders", at: "b") == .running)
    }

    @Test("rule 13: a planned failover loses nothing, and needs both sides")
    func plannedLosesNothing() async throws {
        let rig = try await protected()
        rig.world.write("orders", at: "a", [90: 90, 91: 91])
        let written = rig.disks(at: "a")
        rig.world.cutOff("a")
        #expect(try await engineError { try await rig.run(.plannedFailover) }.rule == "both-sites-needed")
        rig.world.bringBack("a")
        try await rig.run(.plannedFailover)
        #expect(rig.disks(at: "b") == written)
    }

    @Test("rule 14: an unplanned failover needs nothing of the primary site, and loses what came after the last sync")
    func unplannedNeedsTheTargetOnly() async throws {
        let rig = try await protected()
        let synced = rig.disks(at: "a")
        rig.world.write("orders", at: "a", [95: 95])
        rig.world.lose("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        #expect(rig.disks(at: "b") == synced)
        let other = try await protected()
        other.world.cutOff("b")
        #expect(try await engineError { try await other.run(.unplannedFailover) }.rule == "target-needed")
    }

    @Test("rule 15: a source that answers is shut down first; one that does not takes a fence or the operator's word")
    func shutdownIsTried() async throws {
        let rig = try await protected()
        rig.world.setIgnoresShutdown("orders", at: "a", true)
        try await rig.run(.unplannedFailover, "orders", ["shutdown_limit": "1"])
        #expect(rig.world.power("orders", at: "a") == .off, "it is ended when it does not go down")
        let silent = try await protected()
        silent.world.cutOff("a")
        #expect(try await engineError { try await silent.run(.unplannedFailover) }.rule == "source-must-be-down")
        try await silent.run(.unplannedFailover, "orders", ["source": "fence"])
        #expect(try await silent.relationship().failover?.sourceVerdict == .proven)
    }

    @Test("rule 16: both copies never run at once")
    func neverTwo() async throws {
        let rig = try await protected()
        rig.world.cutOff("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        try await rig.run(.commit)
        // The source was only cut off, and still runs: nothing builds on that.
        rig.world.bringBack("a")
        #expect(try await engineError { try await rig.run(.reverse) }.rule == "one-writable-copy")
        #expect(try await rig.engine.status().first?.runsWithoutOwnership.map(\.id) == ["a"])
        rig.world.shutDownInside("orders", at: "a")
        try await rig.run(.reverse)
        #expect(try await rig.relationship().state == .protected)
    }

    @Test("rule 17: an unplanned failover ends replication from the source")
    func endsReplication() async throws {
        let rig = try await protected()
        let id = try await rig.relationship().id
        rig.world.change { state in
            state.midTransfer = {
                rig.world.change { $0.midTransfer = nil }
                _ = try? await rig.run(.unplannedFailover, by: rig.engine("second"))
            }
        }
        _ = try? await rig.run(.sync)
        #expect(try await rig.relationship().state == .failedOver)
        #expect(rig.world.store(id, at: "b").draft == nil, "what was half received is gone")
        #expect(try await engineError { try await rig.run(.sync) }.rule == "failover-needs-commit")
        #expect(try await rig.jobs().filter { $0.operation == .sync }.last?.state == .cancelled)
    }

    @Test(
        "rule 18: a failover in progress is never cancelled, only undone where its target is lost",
        arguments: [ReplicationState.failingOver, .failingOverPlanned])
    func neverCancelled(state: ReplicationState) {
        #expect(TransitionTable.allowed(in: state) == [.undo])
        for operation in [SiteModel.Operation.changePoint, .unprotect, .unplannedFailover] {
            #expect(TransitionTable.transition(from: state, operation) == .refused(RuleBook.neverCancelAFailover))
        }
        for operation in SiteModel.Operation.allCases where operation != .undo {
            #expect(!TransitionTable.ends(operation, running: .unplannedFailover))
            #expect(!TransitionTable.ends(operation, running: .plannedFailover))
        }
    }

    @Test(
        "rule 18: a failover whose target is lost on the way goes back to the source",
        arguments: [SiteModel.Operation.plannedFailover, .unplannedFailover])
    func targetLostOnTheWay(operation: SiteModel.Operation) async throws {
        let rig = try await protected()
        let (world, written) = (rig.world, rig.disks(at: "a"))
        let fuse = Fuse(.runAfterEffect("b.create-boot")) { world.lose("b") }
        _ = try? await rig.run(operation, by: rig.engine("fails", fuse: fuse))
        #expect(fuse.wentOff)
        #expect(try await rig.relationship().owner == "b")
        #expect(try await engineError { try await rig.run(.undo) }.rule == "target-must-be-down")
        try await rig.run(.undo, "orders", ["target": "declared lost"])
        let after = try await rig.relationship()
        #expect(after.state == .protected && after.owner == "a" && after.activeJob == nil)
        #expect(world.power("orders", at: "a") == .running)
        #expect(rig.disks(at: "a") == written)
        #expect(world.violations == [])
    }

    @Test("rule 19: the latest point is taken, another one until the commit, which drops the rest")
    func changeOfPoint() async throws {
        let rig = try await protected()
        let numbers = try await rig.points().map(\.number)
        #expect(
            try await engineError { try await rig.run(.changePoint, "orders", ["point": "1"]) }.rule
                == "change-point-after-failover")
        let job = try await rig.run(.unplannedFailover)
        #expect(job.facts["point"] == numbers.last.map(String.init))
        try await rig.run(.changePoint, "orders", ["point": "1"])
        #expect(try await rig.points().map(\.number) == numbers)
        try await rig.run(.commit)
        #expect(try await rig.points().map(\.number) == [1])
        #expect(
            try await engineError { try await rig.run(.changePoint, "orders", ["point": "2"]) }.rule
                == "change-point-after-failover")

        // Without extra points the policy keeps only the latest.
        let bare = try await protected(points: 0)
        try await bare.run(.unplannedFailover)
        #expect(
            try await engineError { try await bare.run(.changePoint, "orders", ["point": "1"]) }.rule
                == "recovery-point-unknown")
    }

    @Test("rule 20: commit comes before reverse and is final", arguments: [true, false])
    func commitFirst(planned: Bool) async throws {
        let rig = try await protected()
        try await rig.run(planned ? .plannedFailover : .unplannedFailover)
        #expect(try await engineError { try await rig.run(.reverse) }.rule == "commit-before-reverse")
        try await rig.run(.commit)
        #expect(try await engineError { try await rig.run(.undo) }.rule == "nothing-to-undo")
        try await rig.run(.reverse)
    }

    @Test("rule 21: reverse needs the primary site back")
    func reverseNeedsTheSite() async throws {
        let rig = try await protected()
        rig.world.lose("a")
        try await rig.run(.unplannedFailover, "orders", lost)
        try await rig.run(.commit)
        #expect(try await engineError { try await rig.run(.reverse) }.rule == "both-sites-needed")
        let next = try await rig.engine.next(on: try await rig.relationship())
        #expect(next.steps.map(\.operation) == [.unprotect], "a site that is gone for good is left")
        rig.world.bringBack("a")
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
    }

    @Test(
        "rule 22: a reverse after an unplanned failover sends what differs, never everything", arguments: [true, false])
    func reverseSendsDifferences(mapsAreKnown: Bool) async throws {
        let rig = try await protected()
        if mapsAreKnown { rig.world.shutDownInside("orders", at: "a") } else { rig.world.lose("a") }
        try await rig.run(.unplannedFailover, "orders", mapsAreKnown ? [:] : lost)
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [99: 99])
        rig.world.bringBack("a")
        let job = try await rig.run(.reverse)
        let sent = try #require(job.facts["bytes"].flatMap(UInt64.init))
        let held = rig.disks(at: "b").values.reduce(0) { $0 + $1.count }
        #expect(sent < UInt64(held) * blockSize, "\(sent) bytes of \(held) blocks")
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
    }

    @Test("rule 23: reverse protects the VM again and leaves it where it runs")
    func reverseKeepsThePlace() async throws {
        let rig = try await protected()
        try await rig.run(.unplannedFailover)
        try await rig.run(.commit)
        #expect(try await engineError { try await rig.run(.sync) }.rule == "reverse-first")
        try await rig.run(.reverse)
        let after = try await rig.relationship()
        #expect(after.state == .protected && after.owner == "b" && after.source == "b" && after.target == "a")
        #expect(rig.world.power("orders", at: "b") == .running)
    }

    @Test("rule 24: failback is a planned failover back, its commit, and a reverse")
    func failback() async throws {
        let rig = try await protected()
        for operation in [
            SiteModel.Operation.unplannedFailover, .commit, .reverse, .plannedFailover, .commit, .reverse,
        ] {
            try await rig.run(operation)
        }
        let home = try await rig.relationship()
        #expect(home.state == .protected && home.owner == "a" && home.target == "b" && home.isSettledAtHome)
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(rig.world.violations == [])
    }

    @Test(
        "rule 25: of items on both sides each goes its own owner's way, and a copy that is not the owner's counts for nothing"
    )
    func directions() async throws {
        let rig = try await protected(vms: ["orders", "stock"])
        for operation in [SiteModel.Operation.plannedFailover, .commit, .reverse] { try await rig.run(operation) }
        #expect(try await rig.relationship("orders").source == "b")
        #expect(try await rig.relationship("stock").source == "a")
        // The same operation moves each to its other side.
        for vm in ["orders", "stock"] { try await rig.run(.plannedFailover, vm) }
        #expect(try await rig.relationship("orders").owner == "a")
        #expect(try await rig.relationship("stock").owner == "b")
        for vm in ["orders", "stock"] { try await rig.run(.commit, vm) }
        rig.world.startByHand("stock", at: "a")
        #expect(try await engineError { try await rig.run(.reverse, "stock") }.rule == "one-writable-copy")
    }

    @Test("rule 26: a disk of another size has it from the next point on")
    func resizedDisk() async throws {
        let rig = try await protected()
        let uuid = rig.world.uuid("orders")
        let id = try await rig.relationship().id
        // The vault remembers another size than the disk has: the same as a disk that was shrunk or grown.
        try await rig.vault.write { vault in
            guard var stored = try vault.object(Relationship.self, id: id) else { return }
            stored.value.disks[0].size += 4096
            try vault.update(stored)
        }
        try await rig.run(.sync)
        #expect(try await rig.relationship().disks[0].size == UInt64(diskBlocks) * blockSize)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        try await rig.run(.unplannedFailover)
        #expect(rig.world.state.withLock { $0.hosts["b"]?.domains[uuid]?.power } == .running)
    }

    @Test("rule 27: test, planned and unplanned failover work in both directions")
    func bothDirections() async throws {
        let rig = try await protected()
        for round in 0..<2 {
            let owner = try await rig.relationship().owner
            try await rig.run(.testFailover)
            try await rig.run(.cleanUpTest)
            try await rig.run(round == 0 ? .plannedFailover : .unplannedFailover)
            try await rig.run(.commit)
            try await rig.run(.reverse)
            #expect(try await rig.relationship().owner != owner)
            try await rig.run(round == 0 ? .unplannedFailover : .plannedFailover)
            try await rig.run(.commit)
            try await rig.run(.reverse)
            #expect(try await rig.relationship().owner == owner)
        }
        #expect(rig.world.violations == [])
    }

    @Test("rule 28: a VM has one relationship; its replica is not replicated further")
    func notChained() async throws {
        let rig = try await Rig(thirdHost: true)
        try await rig.protect()
        let hosts = try await rig.vault.read { try $0.objects(SiteModel.Host.self).map(\.value) }
        let (b, c) = (try #require(hosts.first { $0.id == "b" }), try #require(hosts.first { $0.id == "c" }))
        let policy = try await rig.policy()
        let error = try await engineError {
            try await rig.engine.replicate(vm: "orders", from: b, to: c, policy: policy, networks: [:])
        }
        #expect(error.rule == "already-protected")
    }

    @Test("rule 29: a VM that was moved to another host stops, and is said to be there")
    func movedAway() async throws {
        let rig = try await Rig(thirdHost: true)
        try await rig.protect()
        let uuid = rig.world.uuid("orders")
        func move(_ from: String, _ to: String) {
            rig.world.change { state in
                let domain = state.hosts[from]?.domains.removeValue(forKey: uuid)
                state.hosts[to]?.domains[uuid] = domain
            }
        }
        move("a", "c")
        let error = try await engineError { try await rig.run(.sync) }
        #expect(error.kind == .vmGone && error.message.contains("is at c now"))
        let stopped = try await rig.relationship()
        #expect(stopped.state == .error && stopped.newestGeneration != nil)
        #expect(try await rig.points().isEmpty == false)
        move("c", "a")
        try await rig.run(.resume)
        #expect(try await rig.relationship().state == .protected)
    }

    @Test("rule 30: two operations on one VM exclude each other")
    func exclusion() async throws {
        let rig = try await protected()
        let refusals = Mutex<[String?]>([])
        rig.world.change { state in
            state.midTransfer = {
                rig.world.change { $0.midTransfer = nil }
                for operation in [SiteModel.Operation.plannedFailover, .testFailover, .resume] {
                    do {
                        try await rig.run(operation, by: rig.engine("second"))
                        refusals.withLock { $0.append(nil) }
                    } catch {
                        refusals.withLock { $0.append((error as? EngineError)?.rule) }
                    }
                }
            }
        }
        try await rig.run(.sync)
        #expect(refusals.withLock { $0 } == ["operation-in-progress", "operation-in-progress", "not-paused"])
        #expect(try await rig.relationship().state == .protected)
    }
}
