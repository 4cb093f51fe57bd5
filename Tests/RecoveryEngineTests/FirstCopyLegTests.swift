import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("First copies in legs")
struct FirstCopyLegTests {
    /// vda has blocks 0 to 3, vdb one: legs of one block a disk are four.
    private func rig(_ blocks: Int = 1) async throws -> Rig {
        let rig = try await Rig()
        rig.makeLegs(of: blocks)
        return rig
    }

    private func sent(_ rig: Rig) -> Int { rig.world.state.withLock { $0.sent.values.reduce(0, +) } }

    /// Does something in the middle of the transfer of that number.
    private func during(_ number: Int, _ rig: Rig, _ body: @escaping @Sendable (FakeWorld) -> Void) {
        let world = rig.world
        let count = Mutex(0)
        world.state.withLock {
            $0.midTransfer = {
                let now = count.withLock { count in
                    count += 1
                    return count
                }
                if now == number { body(world) }
            }
        }
    }

    @Test func aGuestWritesMeanwhileAndTheLastLegIsOneInstant() async throws {
        let rig = try await rig()
        during(2, rig) { $0.write("orders", at: "a", [0: 100, 3: 103]) }
        try await rig.protect()
        let relationship = try await rig.relationship()
        #expect(relationship.state == .protected && relationship.growing == nil)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(sent(rig) == 6, "five blocks, and the one that changed after it had been sent")
        let job = try #require(try await rig.jobs().last)
        #expect(job.facts["legs"] == "4" && job.facts["bytes"] == String(6 * blockSize))
        #expect(try await rig.points().map(\.cause) == [.initial])
        #expect(rig.world.domain("orders", at: "a")?.checkpoints.count == 1)
        #expect(rig.world.violations == [])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
    }

    @Test func anInterruptedCopyWaitsAndGoesOnFromItsLastLeg() async throws {
        let rig = try await rig()
        during(3, rig) { $0.cutOff("b") }
        let error = try await engineError { try await rig.protect() }
        #expect(error.hint?.contains("goes on from there") == true, "\(error)")
        let waiting = try await rig.relationship()
        #expect(waiting.state == .firstCopyPending && waiting.growing?.legs == 2)
        #expect(waiting.firstCopy?.method == .scheduled)
        #expect(waiting.firstCopy?.startAt == rig.clock.now.advanced(bySeconds: 60))
        #expect(rig.world.domain("orders", at: "a")?.backup == nil)
        #expect(try await rig.points().isEmpty)
        rig.world.state.withLock { $0.midTransfer = nil }
        rig.world.bringBack("b")
        rig.world.write("orders", at: "a", [1: 11])
        let before = sent(rig)
        try await rig.run(.startFirstCopy)
        #expect(sent(rig) - before == 3, "the two blocks that were missing, and the one that changed")
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(try await rig.relationship().state == .protected)
        #expect(rig.world.domain("orders", at: "a")?.checkpoints.count == 1)
        #expect(rig.world.violations == [])
    }

    @Test func aFullTargetIsTriedAgainInAMinute() async throws {
        let rig = try await rig()
        during(2, rig) { $0.setFreeBlocks(0, at: "b") }
        _ = try await engineError { try await rig.protect() }
        rig.world.state.withLock { $0.midTransfer = nil }
        rig.world.setFreeBlocks(1000, at: "b")
        let planned = try await rig.relationship()
        #expect(planned.state == .firstCopyPending)
        #expect(planned.firstCopy?.startAt == rig.clock.now.advanced(bySeconds: 60))
    }

    /// What a person must look at is not tried again every minute.
    @Test func disksThatChangeMeanwhileWaitForAPerson() async throws {
        let rig = try await rig()
        during(2, rig) { world in
            // A disk that no point can hold.
            world.change { state in
                let uuid = world.uuid("orders")
                guard let xml = state.hosts["a"]?.domains[uuid]?.definition.xml else { return }
                let device =
                    "<disk type='network' device='disk'><source protocol='rbd' name='p/i'/><target dev='vdc'/></disk>"
                guard let changed = try? DomainDefinition(xml: xml.replacing("</devices>", with: device + "</devices>"))
                else { return }
                state.hosts["a"]?.domains[uuid]?.definition = changed
                state.hosts["a"]?.domains[uuid]?.backup = nil
            }
        }
        _ = try await engineError { try await rig.protect() }
        #expect(try await rig.relationship().firstCopy?.method == .scheduled, "its backup ended with it")
        rig.world.state.withLock { $0.midTransfer = nil }
        #expect(try await engineError { try await rig.run(.startFirstCopy) }.kind == .disksChanged)
        let waiting = try await rig.relationship()
        #expect(waiting.state == .firstCopyPending && waiting.growing?.legs == 1)
        #expect(waiting.firstCopy == FirstCopyRecord(method: .now))
        try await rig.run(.unprotect)
        #expect(rig.world.store(waiting.id, at: "b").growing == nil)
    }

    /// QEMU is killed between two legs: its bitmaps are gone, and both sides are compared.
    @Test(arguments: [false, true])
    func withoutABitmapNothingIsSentTwice(_ stays: Bool) async throws {
        let rig = try await rig()
        during(3, rig) { $0.cutOff("b") }
        _ = try await engineError { try await rig.protect() }
        rig.world.state.withLock { $0.midTransfer = nil }
        rig.world.bringBack("b")
        rig.world.kill("orders", at: "a")
        if !stays { rig.world.startByHand("orders", at: "a") }
        let before = sent(rig)
        if !stays { rig.world.write("orders", at: "a", [1: 11]) }
        try await rig.run(.startFirstCopy)
        #expect(sent(rig) - before == (stays ? 2 : 3))
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(rig.world.violations == [])
    }

    @Test func anEngineThatDiesAnywhereIsFollowedByOneThatGoesOn() async throws {
        for place in CrashTests.Place.allCases {
            var deaths = 0
            while true {
                let rig = try await rig(2)
                let fuse = Fuse(place.mode(deaths + 1))
                _ = try? await rig.protect(by: rig.engine("dies", fuse: fuse))
                guard fuse.wentOff else { break }
                deaths += 1
                rig.world.write("orders", at: "a", [0: deaths])
                let next = rig.engine("next")
                for recovered in try await next.recoverOpenJobs() {
                    #expect(recovered.failure == nil, "death \(deaths) \(place)")
                }
                let found = try await rig.vault.read {
                    try $0.object(Relationship.self, named: "orders", parent: nil)?.value
                }
                if found?.state != .protected { try await rig.protect(by: next) }
                try await rig.cycle()
                #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"), "death \(deaths) \(place)")
                let id = try await rig.relationship().id
                #expect(rig.world.store(id, at: "b").growing == nil)
                // A leg that did not get to its end is sent again, and nothing else but the block that changed.
                #expect(sent(rig) <= 5 + 3 + 2, "death \(deaths) \(place): \(sent(rig)) blocks")
                #expect(rig.world.violations == [])
            }
            #expect(deaths > 10)
        }
    }

    @Test func whatIsGivenUpLeavesNothing() async throws {
        for keeps in [false, true] {
            let rig = try await rig()
            var policy = try await rig.policy()
            policy.deleteReplica = !keeps
            try await rig.engine.ensurePolicy(policy)
            during(3, rig) { $0.cutOff("b") }
            _ = try await engineError { try await rig.protect() }
            rig.world.state.withLock { $0.midTransfer = nil }
            rig.world.bringBack("b")
            let id = try await rig.relationship().id
            #expect(rig.world.store(id, at: "b").growing?.base.legs == 2)
            try await rig.run(.unprotect)
            #expect(rig.world.store(id, at: "b").growing == nil)
            #expect(try await rig.relationship().growing == nil)
            #expect(rig.world.domain("orders", at: "a")?.checkpoints == [])
            try await rig.protect()
            #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
            #expect(rig.world.violations == [])
        }
    }

    @Test func aCopyThatIsCalledOffCanBeGoneOnWith() async throws {
        let rig = try await rig()
        during(3, rig) { $0.cutOff("b") }
        _ = try await engineError { try await rig.protect() }
        rig.world.state.withLock { $0.midTransfer = nil }
        rig.world.bringBack("b")
        try await rig.run(.cancelFirstCopy)
        #expect(try await rig.relationship().firstCopy == FirstCopyRecord(method: .now))
        let before = sent(rig)
        try await rig.run(.startFirstCopy)
        #expect(sent(rig) - before == 2)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
    }

    @Test func aGuestThatWritesAsFastAsTheCopyIsToldOf() async throws {
        let rig = try await Rig()
        let blocks = Dictionary(uniqueKeysWithValues: (0..<12).map { ($0, $0 + 1) })
        rig.world.write("orders", at: "a", blocks)
        rig.makeLegs(of: 1)
        let world = rig.world
        let round = Mutex(0)
        world.state.withLock {
            $0.midTransfer = {
                let number = round.withLock { round in
                    round += 1
                    return round
                }
                world.write("orders", at: "a", [0: 1000 + number, 1: 2000 + number, 2: 3000 + number])
            }
        }
        try await rig.protect()
        #expect(try await rig.relationship().state == .protected, "it comes to its end all the same")
        let slow = try await rig.vault.read { try $0.events(after: 0, limit: 1000).map(\.event) }
            .filter { $0.code == "first-copy-slow" }
        #expect(slow.count == 1)
        world.state.withLock { $0.midTransfer = nil }
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(rig.world.violations == [])
    }

    @Test func progressGoesOnOverTheLegs() async throws {
        let rig = try await rig()
        let shown = Mutex<[TransferProgress]>([])
        let engine = RecoveryEngine(
            EngineDependencies(
                vault: rig.vault, connections: FakeConnections(world: rig.world, fuse: Fuse()),
                fencing: FakeFencing(world: rig.world, fuse: Fuse()), clock: rig.clock, identifiers: rig.identifiers,
                holder: "shows",
                observer: { job, _ in
                    if let progress = job.progress { shown.withLock { $0.append(progress) } }
                }))
        try await rig.protect(by: engine)
        while shown.withLock({ !$0.contains { $0.done == 5 * blockSize } }) { await Task.yield() }
        let progress = TransferProgress(done: 40, total: 100, bytesPerSecond: 20)
        #expect(progress.secondsLeft == 3)
        #expect(TransferProgress(done: 0, total: 100, bytesPerSecond: 0).secondsLeft == nil)
    }
}
