import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Cycles at each policy's frequency")
struct ReplicatorTests {
    private final class Reports: Sendable {
        private let lines = Mutex<[String]>([])

        func note(_ news: ReplicationNews) {
            let line =
                switch news {
                case .point(let vm, _): "\(vm): point"
                case .finished(let vm, let job): "\(vm): \(job.operation.rawValue)"
                case .trouble(let vm, let text): "\(vm): \(text)"
                }
            lines.withLock { $0.append(line) }
        }

        func count(_ prefix: String) -> Int { lines.withLock { $0.count { $0.hasPrefix(prefix) } } }
    }

    /// Turns the clock second by second; each time the loop has looked and gone back to sleep.
    private func run(
        _ rig: Rig, _ replicator: Replicator, seconds: Int
    ) async throws {
        rig.clock.standStill()
        let loop = Task { try await replicator.run() }
        for _ in 0..<seconds {
            try await settle(rig)
            rig.clock.advance(seconds: 1)
        }
        try await settle(rig)
        loop.cancel()
        _ = await loop.result
    }

    @Test func scheduledFirstCopyBeginsAtItsTimeAndNotBefore() async throws {
        let rig = try await Rig()
        try await rig.engine.protect(
            vm: "orders", in: try await rig.cloud(), options: ProtectOptions(startAfter: 20))
        let replicator = Replicator(engine: rig.engine) { _ in }
        try await run(rig, replicator, seconds: 10)
        #expect(try await rig.relationship().state == .firstCopyPending)
        #expect(try await rig.points().isEmpty)
        try await run(rig, replicator, seconds: 15)
        #expect(try await rig.relationship().state == .protected)
        #expect(try await rig.points().count == 1)
        #expect(try await rig.relationship().firstCopy == nil)
    }

    @Test(arguments: [Policy.AutoResync.off, .always, .window])
    func divergedReplicationIsResyncedAsThePolicySays(mode: Policy.AutoResync) async throws {
        let rig = try await Rig()
        try await rig.protect()
        let time = TimeOfDay.at(rig.clock.now, offset: rig.engine.dependencies.localOffset(rig.clock.now))
        try await rig.vault.write { vault in
            guard var policy = try vault.object(Policy.self, named: "fast", parent: nil),
                var relationship = try vault.object(Relationship.self, named: "orders", parent: nil),
                let earlier = TimeOfDay(hour: (time.minutes / 60 + 22) % 24, minute: 0),
                let later = TimeOfDay(hour: (time.minutes / 60 + 23) % 24, minute: 0)
            else { return }
            policy.value.autoResync = mode
            // A window that has just gone by.
            policy.value.resyncWindow = DailyWindow(from: earlier, to: later)
            relationship.value.state = .resyncRequired
            try vault.update(policy)
            try vault.update(relationship)
        }
        try await run(rig, Replicator(engine: rig.engine) { _ in }, seconds: 5)
        #expect(try await rig.relationship().state == (mode == .always ? .protected : .resyncRequired))
        #expect(rig.world.violations == [])
    }

    private func settle(_ rig: Rig) async throws {
        var calm = 0
        while calm < 50 {
            await Task.yield()
            let open = try await rig.vault.read { try $0.openJobs().count }
            calm = rig.clock.sleeping == 1 && open == 0 ? calm + 1 : 0
        }
    }

    @Test func failingVMStopsNobodyAndIsNotTriedEverySecond() async throws {
        let rig = try await Rig(points: 20, vms: ["orders", "stock"])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        // From now on this VM has a disk that no point can hold.
        try rig.world.addVM(
            "stock", at: "a", disks: ["vda": [:]], network: "prod-a", autostart: false,
            extraDevices:
                "<disk type='network' device='disk'><source protocol='rbd' name='p/i'/><target dev='vdc'/></disk>")
        let reports = Reports()
        let replicator = Replicator(engine: rig.engine) { reports.note($0) }
        try await run(rig, replicator, seconds: 150)
        #expect((4...5).contains(reports.count("orders: point")), "\(reports.count("orders: point"))")
        #expect(reports.count("stock: ") == 1, "it waits for a person, who reads the cause in its state")
        #expect(try await rig.relationship("stock").state == .error)
        #expect(try await rig.points("stock").count == 1)
        #expect(rig.world.violations == [])
    }

    @Test("A duty is done again and again, never twice at once, and its failure is told")
    func duties() async throws {
        struct Wrong: Error {}
        let rig = try await Rig()
        let counts = Mutex<(done: Int, atOnce: Int, most: Int)>((0, 0, 0))
        let slow = Duty("slow", every: 10) { engine in
            counts.withLock {
                $0.atOnce += 1
                $0.most = max($0.most, $0.atOnce)
            }
            try await engine.dependencies.clock.sleep(seconds: 25)
            counts.withLock { ($0.atOnce, $0.done) = ($0.atOnce - 1, $0.done + 1) }
        }
        let reports = Reports()
        let replicator = Replicator(
            engine: rig.engine, duties: [slow, Duty("wrong", every: 20) { _ in throw Wrong() }]
        ) { reports.note($0) }
        rig.clock.standStill()
        let loop = Task { try await replicator.run() }
        while counts.withLock({ $0.done }) < 4 {
            for _ in 0..<50 { await Task.yield() }
            rig.clock.advance(seconds: 0.5)
        }
        loop.cancel()
        _ = await loop.result
        #expect(counts.withLock { $0.most } == 1)
        #expect((4...7).contains(reports.count("wrong: ")))
    }

    @Test func jobOfADeadEngineIsTakenUp() async throws {
        let rig = try await Rig()
        try await rig.protect()
        _ = try? await rig.run(.plannedFailover, by: rig.engine("dies", fuse: Fuse(.dieAfterEffect(3))))
        #expect(try await rig.relationship().activeJob != nil)
        rig.clock.advance(seconds: 16)
        let reports = Reports()
        let replicator = Replicator(engine: rig.engine("second")) { reports.note($0) }
        rig.clock.standStill()
        let loop = Task { try await replicator.run() }
        while reports.count("orders: planned-failover") == 0 {
            await Task.yield()
            if rig.clock.sleeping == 1 { rig.clock.advance(seconds: 0.5) }
        }
        loop.cancel()
        _ = await loop.result
        #expect(try await rig.relationship().state == .failedOver)
        #expect(rig.world.violations == [])
    }
}
