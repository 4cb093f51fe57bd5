import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Copies that fail leave what was whole whole")
struct CopyFailureTests {
    @Test func targetWithoutSpaceKeepsItsPoints() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let held = try await rig.newestPoint(at: "b")
        rig.world.write("orders", at: "a", [1: 10, 2: 20, 40: 40])
        rig.world.setFreeBlocks(2, at: "b")
        let error = try await engineError { try await rig.cycle() }
        #expect(error.kind == .failed)
        #expect(error.message.contains("full"))
        #expect(error.hint != nil)
        #expect(try await rig.newestPoint(at: "b") == held)
        #expect(try await rig.points().count == 1)
        let after = try await rig.relationship()
        #expect(after.state == .protected && after.lastError != nil && after.activeJob == nil)
        #expect(rig.world.store(after.id, at: "b").draft == nil, "what was half received is thrown away")
        #expect(rig.world.domain("orders", at: "a")?.backup == nil)

        rig.world.setFreeBlocks(1000, at: "b")
        rig.world.write("orders", at: "a", [3: 30])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(try await rig.relationship().lastError == nil)
        #expect(rig.world.domain("orders", at: "a")?.checkpoints.count == 1)
    }

    @Test(
        "A VM whose protection fails is its host's again, at once or when the host returns", arguments: [true, false])
    func failedProtectionHandsTheVMBack(_ hostAnswers: Bool) async throws {
        let rig = try await Rig()
        let world = rig.world
        if hostAnswers {
            world.setFreeBlocks(2, at: "b")
        } else {
            world.state.withLock { $0.midTransfer = { world.lose("a") } }
        }
        _ = try await engineError { try await rig.protect() }
        #expect(try await rig.relationship().state == .unprotected)
        let id = try await rig.relationship().id
        if !hostAnswers {
            #expect(try await rig.relationship().untoldOwner == "a")
            #expect(world.store(id, at: "a").ownership != nil)
            world.bringBack("a")
            try await SiteWatch(engine: rig.engine) { _ in }.look()
            #expect(try await rig.relationship().untoldOwner == nil)
        }
        #expect(world.store(id, at: "a").ownership == nil, "its host lets anybody start it")
        #expect(world.store(id, at: "b").ownership == nil, "so does the other")
        #expect(world.domain("orders", at: "a")?.definition.ownership == nil)
        #expect(world.domain("orders", at: "a")?.autostart == true)
        #expect(world.domain("orders", at: "a")?.checkpoints == [])

        world.state.withLock { $0.midTransfer = nil }
        world.setFreeBlocks(1000, at: "b")
        world.startByHand("orders", at: "a")
        try await rig.protect()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(world.violations == [])
    }

    /// The engine dies while it undoes what a protection that fails has prepared: the next one leaves the VM protected, or not.
    @Test func deathWhileAFailedProtectionIsUndone() async throws {
        for place in CrashTests.Place.allCases {
            var deaths = 0
            while true {
                let rig = try await Rig()
                let world = rig.world
                world.state.withLock { $0.midTransfer = { world.setFreeBlocks(0, at: "b") } }
                let fuse = Fuse(place.mode(deaths + 1))
                _ = try? await rig.protect(by: rig.engine("dies", fuse: fuse))
                guard fuse.wentOff else { break }
                deaths += 1
                world.state.withLock { $0.midTransfer = nil }
                world.setFreeBlocks(1000, at: "b")
                _ = try await rig.engine("next").recoverOpenJobs()
                let found = try await rig.vault.read {
                    try $0.object(Relationship.self, named: "orders", parent: nil)?.value
                }
                guard let now = found else { continue }
                let isProtected = now.state == .protected
                let record = world.store(now.id, at: "a").ownership
                #expect((record != nil) == isProtected, "death \(deaths) \(place)")
                #expect(world.domain("orders", at: "a")?.autostart != isProtected, "death \(deaths) \(place)")
                #expect(world.violations == [])
            }
            #expect(deaths > 5, "\(place)")
        }
    }

    @Test func sourceKilledInMidCopyIsComparedNextTime() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let held = try await rig.newestPoint(at: "b")
        rig.world.write("orders", at: "a", [1: 10])
        let world = rig.world
        world.state.withLock { $0.midTransfer = { world.lose("a") } }
        let error = try await engineError { try await rig.cycle() }
        #expect(error.kind == .failed)
        #expect(try await rig.newestPoint(at: "b") == held)
        world.state.withLock { $0.midTransfer = nil }
        world.bringBack("a")
        world.startByHand("orders", at: "a")
        world.write("orders", at: "a", [2: 20])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(world.violations == [])
    }

    /// The site is lost while a cycle is under way: the failover does not wait for it, and the cycle's late news change nothing.
    @Test(arguments: [true, false])
    func failoverEndsAnOpenCycle(_ pointIsWhole: Bool) async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [1: 10])
        let sync = rig.engine("syncs", fuse: Fuse())
        let fuse = Fuse(.suspendAfterEffect(try await effectNumber(pointIsWhole ? "b.seal-point" : "a.send-point")))
        let copying = rig.engine("copies", fuse: fuse)
        let cycle = Task { try await rig.run(.sync, by: copying) }
        await fuse.waitUntilSuspended()
        rig.world.lose("a")

        let job = try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"], by: sync)
        #expect(job.facts["point"] == (pointIsWhole ? "2" : "1"), "a point that is whole counts, recorded or not")
        #expect(rig.world.power("orders", at: "b") == .running)
        let after = try await rig.relationship()
        #expect(after.state == .failedOver && after.activeJob == nil && after.owner == "b")
        #expect(rig.world.store(after.id, at: "b").draft == nil)

        fuse.resume()
        let error = try await engineError { _ = try await cycle.value }
        #expect(error.message.contains("ended by another operation"))
        #expect(try await rig.relationship() == after)
        let cycles = try await rig.jobs().filter { $0.operation == .sync }
        #expect(cycles.map(\.state) == [.cancelled])

        rig.world.bringBack("a")
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [5: 5])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    private func effectNumber(_ name: String) async throws -> Int {
        let rig = try await Rig()
        try await rig.protect()
        let fuse = Fuse()
        try await rig.run(.sync, by: rig.engine("counts", fuse: fuse))
        return try #require(fuse.effects.firstIndex(of: name)) + 1
    }

    @Test func progressIsShown() async throws {
        let rig = try await Rig()
        let shown = Mutex<[UInt64]>([])
        let engine = RecoveryEngine(
            EngineDependencies(
                vault: rig.vault, connections: FakeConnections(world: rig.world, fuse: Fuse()),
                fencing: FakeFencing(world: rig.world, fuse: Fuse()), clock: rig.clock, identifiers: rig.identifiers,
                holder: "shows",
                observer: { job, vm in
                    #expect(vm == "orders")
                    if let progress = job.progress { shown.withLock { $0.append(progress.done) } }
                }))
        try await rig.protect(by: engine)
        while shown.withLock({ $0.isEmpty }) { await Task.yield() }
        #expect(shown.withLock { $0.first } == 5 * blockSize)
    }
}
