import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing

@Suite("A cycle never fills the source's file system")
struct ScratchTests {
    private func blocks(_ rig: Rig) async throws -> Int {
        Int(ScratchReserve.bytes(for: try await rig.relationship().disks) / blockSize)
    }

    @Test func noScratchSpaceNoCycle() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let held = try await rig.newestPoint(at: "b")
        rig.world.write("orders", at: "a", [1: 10])
        rig.world.setFreeBlocks(try await blocks(rig) - 1, at: "a")
        let fuse = Fuse()
        let error = try await engineError { try await rig.run(.sync, by: rig.engine("copies", fuse: fuse)) }
        #expect(error.kind == .failed)
        #expect(error.hint?.contains("space") == true)
        #expect(!fuse.effects.contains("a.begin-backup"))
        #expect(try await rig.newestPoint(at: "b") == held)
        #expect(rig.world.power("orders", at: "a") == .running)
        rig.world.setFreeBlocks(try await blocks(rig), at: "a")
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
    }

    /// A stopped VM needs no scratch space: nobody writes while it is read.
    @Test func stoppedVMIsCopiedWithoutScratchSpace() async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [1: 10])
        rig.world.shutDownInside("orders", at: "a")
        rig.world.setFreeBlocks(0, at: "a")
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
    }

    @Test func cycleIsEndedBeforeScratchSpaceIs() async throws {
        let rig = try await Rig()
        try await rig.protect()
        let (world, held, low) = (rig.world, try await rig.newestPoint(at: "b"), try await blocks(rig) / 4 - 1)
        world.write("orders", at: "a", [1: 10])
        world.state.withLock {
            $0.midTransfer = {
                world.setFreeBlocks(low, at: "a")
                // Bounded: a cycle that is not ended goes on to its point, and the test says so.
                for _ in 0..<100_000 where !Task.isCancelled { await Task.yield() }
            }
        }
        let error = try await engineError { try await rig.cycle() }
        #expect(error.kind == .failed)
        #expect(error.message.contains("scratch"))
        #expect(error.hint?.contains("space") == true)
        #expect(try await rig.newestPoint(at: "b") == held)
        #expect(world.domain("orders", at: "a")?.backup == nil)
        #expect(world.power("orders", at: "a") == .running)
        let after = try await rig.relationship()
        #expect(after.state == .protected && after.lastError != nil && after.activeJob == nil)
        #expect(world.store(after.id, at: "b").draft == nil)

        world.state.withLock { $0.midTransfer = nil }
        world.setFreeBlocks(100_000, at: "a")
        world.write("orders", at: "a", [2: 20])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(world.violations == [])
    }
}
