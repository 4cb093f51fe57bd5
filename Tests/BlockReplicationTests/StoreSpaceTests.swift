import Foundation
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A full file system costs a cycle, never a point", .serialized)
struct StoreSpaceTests {
    typealias Site = StoreSite

    @Test("a cycle and a merge that run out of space fail clearly, and work once there is space")
    func fullDisk() async throws {
        let mount = try Scratch()
        guard run("/bin/mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", mount.path]) == 0 else {
            print("full file system not tested: mounting a tmpfs needs root")
            return
        }
        defer { _ = run("/bin/umount", ["-l", mount.path]) }
        let site = try Site(seed: 60, sizes: ["vda": 16 << 20], root: mount("store"))
        let store = try site.open()
        let disk = try #require(site.disks["vda"])
        for number in 1...3 { try await site.cycle(store, number) }
        try await site.verify(store)
        let points = await store.manifest.points

        let draft = try await store.beginPoint(
            generation: Site.generation(4), parent: Site.generation(3), disks: site.plans)
        let writer = try #require(draft.writers["vda"])
        let full = #expect(throws: ReplicationError.self) { try writer.write(disk.slice(0, 16 << 20), at: 0) }
        #expect(full?.code == .noSpace)
        #expect(full?.hint.contains("free space") == true)
        await #expect(throws: ReplicationError.self) { _ = try await site.seal(draft, 4) }
        try await draft.abandon()
        #expect(await store.manifest.points == points)
        try await site.verify(store)

        // Less is left than the merger of two points needs.
        await store.limitChain(2)
        let filler = mount("filler")
        let free = try await store.freeBytes()
        try Data(repeating: 1, count: Int(free) - 65536).write(to: URL(fileURLWithPath: filler))
        let merge = await #expect(throws: ReplicationError.self) { try await store.retire([Site.generation(2)]) }
        #expect(merge?.code == .noSpace)
        #expect(await store.manifest.points.map(\.number) == [1, 3])
        try await site.verify(store)
        #expect(try storeFiles(store).filter { $0.hasSuffix(".part") } == [])

        try FileManager.default.removeItem(atPath: filler)
        try await store.retire([])
        #expect(await store.manifest.layers.isEmpty)
        try await site.cycle(store, 5)
        #expect(await store.manifest.points.map(\.number) == [1, 3, 4])
        try await site.verify(store)
        await store.close()
    }

    private func run(_ path: String, _ arguments: [String]) -> Int32 {
        (try? Program.run([path] + arguments).status) ?? -1
    }
}
