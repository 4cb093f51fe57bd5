import Hypervisors
import RecoveryEngine
import SiteModel
import Simulation
import Testing
import VaultStore

@Suite("A first copy in legs, in a simulated world")
struct LegTests {
    private static let used: UInt64 = 4 << 30

    /// 4 GiB over a link of 10 MB/s: seven legs of a minute.
    private func rig(
        writes: Double, of bytes: UInt64 = 4096, within workingSet: UInt64 = 64 << 20, bandwidth: Double = 1e7
    ) async throws -> Rig {
        let rig = try Rig(
            writesPerSecond: writes, disks: [NewDisk(target: "vda", size: 2 * Self.used, used: Self.used)])
        try rig.world.setGuest("orders", at: "a") {
            $0.writeBytes = bytes
            $0.workingSet = workingSet
        }
        rig.world.change { $0.links[SitePair("a", "b"), default: SimulatedLink()].bytesPerSecond = bandwidth }
        return rig
    }

    private func writeErrors(_ rig: Rig) -> Int {
        rig.world.look { $0.hosts["a"]?.domains.values.reduce(0) { $0 + $1.writeErrors } ?? 0 }
    }

    private func checkpoints(_ rig: Rig) -> Int {
        rig.world.look { $0.hosts["a"]?.domains.values.first?.checkpoints.count ?? 0 }
    }

    @Test("A link that is cut after some legs costs the leg that was under way and no more")
    func cutLink() async throws {
        let rig = try await rig(writes: 1)
        try await rig.world.run {
            try await rig.setUp()
            rig.world.after(200) { $0.setLink("a", "b", cut: true) }
            await #expect(throws: EngineError.self) { try await rig.protect() }
            let waiting = try await rig.relationship()
            #expect(waiting.state == .firstCopyPending && waiting.growing?.legs == 3)
            let there = try #require(waiting.growing?.bytes)
            #expect(there > 1_700_000_000 && there < 1_900_000_000, "three minutes at 10 MB/s: \(there)")
            rig.world.setLink("a", "b", cut: false)
            try await rig.world.clock.sleep(seconds: 30)
            let job = try await rig.perform(.startFirstCopy)
            #expect(try await rig.relationship().state == .protected)
            let bytes = try #require(job.facts["bytes"].flatMap(UInt64.init))
            // A granule of 64 KiB for each write, and each a second.
            #expect(bytes < Self.used + 600 * 65536, "\(bytes) bytes for \(Self.used)")
            #expect(job.facts["legs"].flatMap(Int.init) ?? 0 >= 7)
            try await rig.cycle()
            #expect(checkpoints(rig) == 1)
        }
        #expect(rig.world.violations == [])
    }

    @Test("QEMU is killed between legs: both sides are compared, and nothing travels twice")
    func bitmapLost() async throws {
        let rig = try await rig(writes: 0)
        try await rig.world.run {
            try await rig.setUp()
            rig.world.after(130) { $0.setLink("a", "b", cut: true) }
            await #expect(throws: EngineError.self) { try await rig.protect() }
            try rig.world.kill("orders", at: "a")
            #expect(try rig.world.startByHand("orders", at: "a", hook: false))
            rig.world.setLink("a", "b", cut: false)
            let job = try await rig.perform(.startFirstCopy)
            #expect(job.facts["bytes"] == String(Self.used))
        }
        #expect(rig.world.violations == [])
    }

    @Test("The VM is shut down half-way, and goes on being copied from its file")
    func shutDown() async throws {
        let rig = try await rig(writes: 1)
        try await rig.world.run {
            try await rig.setUp()
            rig.world.after(130) { $0.setLink("a", "b", cut: true) }
            await #expect(throws: EngineError.self) { try await rig.protect() }
            let uuid = try await rig.relationship().vmUUID
            let source = try await rig.engine.dependencies.connections.hypervisor(of: rig.world.hosts[0])
            #expect(try await source.shutDown(uuid: uuid, limit: .seconds(60)))
            rig.world.setLink("a", "b", cut: false)
            rig.world.after(100) { $0.setLink("a", "b", cut: true) }
            await #expect(throws: EngineError.self) { try await rig.perform(.startFirstCopy) }
            let legs = try await rig.relationship().growing?.legs
            #expect(legs == 3)
            rig.world.setLink("a", "b", cut: false)
            let job = try await rig.perform(.startFirstCopy)
            let bytes = try #require(job.facts["bytes"].flatMap(UInt64.init))
            #expect(bytes < Self.used + 300 * 65536)
        }
        #expect(rig.world.violations == [])
    }

    @Test("A guest that writes at full speed during a slow first copy never gets a write error")
    func scratchGuard() async throws {
        // 20 MB/s into 256 MiB, and the copy goes at 10 MB/s.
        let rig = try await rig(writes: 300, of: 65536, within: 256 << 20)
        try await rig.world.run {
            try await rig.setUp()
            // A tenth of the disk and a little: half of that is used by a guest that overwrites 256 MiB.
            rig.world.fill("a", leaving: 830 << 20)
            try await rig.protect()
            #expect(try await rig.relationship().state == .protected)
        }
        #expect(writeErrors(rig) == 0)
        #expect(rig.world.violations == [])
    }

    @Test("One whose writes outrun the copy gets none either, and it is said why the copy does not come on")
    func outrun() async throws {
        let rig = try await rig(writes: 600, of: 65536, within: Self.used, bandwidth: 2e6)
        try await rig.world.run {
            try await rig.setUp()
            rig.world.fill("a", leaving: 830 << 20)
            do {
                try await rig.protect()
                Issue.record("40 MB/s went over a link of 2 MB/s")
            } catch let error as EngineError {
                #expect(error.message.contains("scratch") && error.hint != nil, "\(error)")
            }
            #expect(rig.world.look { $0.hosts["a"]?.backups.isEmpty } == true)
        }
        #expect(writeErrors(rig) == 0)
        #expect(rig.world.violations == [])
    }

    @Test("What was given up leaves no file and no space taken at the target")
    func givenUp() async throws {
        let rig = try await rig(writes: 1)
        try await rig.world.run {
            try await rig.setUp()
            let before = rig.world.look { $0.hosts["b"]?.freeBytes }
            rig.world.after(130) { $0.setLink("a", "b", cut: true) }
            await #expect(throws: EngineError.self) { try await rig.protect() }
            #expect(rig.world.look { $0.hosts["b"]?.freeBytes } != before)
            rig.world.setLink("a", "b", cut: false)
            try await rig.perform(.unprotect)
            #expect(rig.world.look { $0.hosts["b"]?.freeBytes } == before)
            #expect(checkpoints(rig) == 0)
        }
        #expect(rig.world.violations == [])
    }
}
