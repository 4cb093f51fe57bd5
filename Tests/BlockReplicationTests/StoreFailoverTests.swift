import Foundation
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Failover and reverse: boot overlays, adopted disks, maps")
struct StoreFailoverTests {
    typealias Site = StoreSite

    @Test("a boot overlay is made once for an epoch, keeps what the VM wrote, and is discarded by name")
    func bootOverlay() async throws {
        let site = try Site(seed: 30)
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        let paths = try await store.bootOverlay(generation: Site.generation(2), epoch: 2)
        #expect(Set(paths.keys) == ["vda", "vdb"])
        try await site.verify(store)
        let vda = try #require(paths["vda"])
        try await write(to: vda, "0xab 4096 8192")
        let after = try Data(contentsOf: URL(fileURLWithPath: vda))
        #expect(try await store.bootOverlay(generation: Site.generation(2), epoch: 2) == paths)
        #expect(try Data(contentsOf: URL(fileURLWithPath: vda)) == after)
        let other = await #expect(throws: ReplicationError.self) {
            _ = try await store.bootOverlay(generation: Site.generation(3), epoch: 2)
        }
        #expect(other?.code == .busy)
        let chain = try await store.chain(of: .boot(epoch: 2), target: "vda")
        #expect(
            chain.map { ($0.path as NSString).lastPathComponent } == [
                "boot-e2-vda.qcow2", "\(Site.generation(2))-vda.qcow2", "base-vda.raw",
            ])
        #expect(chain.map(\.format) == [.qcow2, .qcow2, .raw])
        #expect(try await QemuImg.backingChain(of: chain[0]) == chain)

        try await store.discardBoot(epoch: 2)
        try await store.discardBoot(epoch: 2)
        #expect(!FileManager.default.fileExists(atPath: vda))
        _ = try await store.bootOverlay(generation: Site.generation(1), epoch: 2)
        try await site.verify(store)
        try await store.claim(owner: "recovery", epoch: 3)
        let stale = await #expect(throws: ReplicationError.self) {
            _ = try await store.bootOverlay(generation: Site.generation(1), epoch: 1)
        }
        #expect(stale?.code == .staleEpoch)
    }

    @Test("commit keeps the chosen point and what it stands on, and the maps of newer ones until they are cleared")
    func commitToOlderPoint() async throws {
        let site = try Site(seed: 31)
        let store = try site.open()
        for number in 1...6 { try await site.cycle(store, number) }
        await store.limitChain(5)
        try await store.retire([Site.generation(5)])
        _ = try await store.bootOverlay(generation: Site.generation(3), epoch: 2)
        let expected = try await store.maps(newerThan: Site.generation(3))
        try await store.dropAllBut(Site.generation(3))
        let manifest = await store.manifest
        #expect(manifest.points.map(\.number) == [3])
        #expect(manifest.layers.map(\.number) == [1, 2])
        #expect(manifest.retainedMaps.map(\.number) == [4, 6])
        try await site.verify(store)
        #expect(try await store.maps(newerThan: Site.generation(3)) == expected)
        for target in ["vda", "vdb"] {
            let all = (4...6).reduce(ExtentMap()) {
                $0.union(site.changes[Site.generation($1)]?[target] ?? ExtentMap())
            }
            #expect(expected[target] == all)
        }
        let images = try storeFiles(store).filter { $0.hasSuffix("-vda.qcow2") }
        #expect(
            images == [
                "boot-e2-vda.qcow2", "\(Site.generation(2))-vda.qcow2", "\(Site.generation(3))-vda.qcow2",
            ])
        try await store.dropAllBut(Site.generation(3))
        #expect(await store.manifest == manifest)
        try await store.clearMaps()
        #expect(try await store.maps(newerThan: Site.generation(3)) == ["vda": ExtentMap(), "vdb": ExtentMap()])
        #expect(try await store.collectGarbage() == [])
        try await site.verify(store)
    }

    @Test("a test VM over a newer point keeps that point's files through a commit")
    func commitUnderTest() async throws {
        let site = try Site(seed: 32)
        let store = try site.open()
        for number in 1...4 { try await site.cycle(store, number) }
        // Epoch 0 is a test: valid at any epoch of ownership.
        _ = try await store.bootOverlay(generation: Site.generation(3), epoch: 0)
        #expect(await store.manifest.boots.map(\.purpose) == [.test])
        #expect(try await store.chain(of: .boot(epoch: 0), target: "vda").count == 4)
        try await store.dropAllBut(Site.generation(2))
        #expect(await store.manifest.layers.map(\.number) == [1, 3])
        #expect(await store.manifest.retainedMaps.map(\.number) == [4])
        try await site.verify(store)
    }

    @Test("the site's own former disk becomes a base that is never touched", arguments: [ImageFormat.raw, .qcow2])
    func adopt(_ format: ImageFormat) async throws {
        let site = try Site(seed: 33, sizes: ["vda": (5 << 20) + 512])
        let disk = try #require(site.disks["vda"])
        disk.fill(0, 3 << 20, &site.generator)
        try disk.save(site.scratch("under.raw"))
        let path: String
        if format == .qcow2 {
            path = site.scratch("former.qcow2")
            let made = try await QemuImg.run([
                "create", "-f", "qcow2", "-b", site.scratch("under.raw"), "-F", "raw", path,
            ])
            #expect(made.exitCode == 0)
            try await write(to: path, "0xcd 1M 64k")
            let part = UnsafeMutableRawBufferPointer(rebasing: disk.bytes[(1 << 20)..<(1 << 20) + 65536])
            _ = part.initializeMemory(as: UInt8.self, repeating: 0xcd)
        } else {
            path = site.scratch("under.raw")
        }
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let store = try site.open()
        let external = ExternalDisk(target: "vda", path: path, format: format, size: disk.size)
        try await store.adoptExternalBase([external], epoch: 2, generation: Site.generation(50))
        let adopted = await store.manifest
        try await store.adoptExternalBase([external], epoch: 2, generation: Site.generation(50))
        #expect(await store.manifest == adopted)
        for number in 51...53 { try await site.cycle(store, number) }
        try await store.keep(newest: 1)
        try await site.verify(store)
        let chain = try await store.chain(of: .point(Site.generation(53)), target: "vda")
        let layers = await store.manifest.layers.count
        #expect(
            chain.map(\.path).suffix(format == .raw ? 1 : 2)
                == (format == .raw ? [path] : [path, site.scratch("under.raw")]))
        #expect(chain.count == 1 + layers + (format == .raw ? 1 : 2))
        #expect(try await QemuImg.backingChain(of: chain[0]) == chain)
        #expect(try await store.maps(newerThan: Site.generation(50)).keys.sorted() == ["vda"])
        #expect(try await store.collectGarbage() == [])
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        try await store.destroy()
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    }

    @Test("a disk that is missing, relative or of another format is not adopted")
    func adoptRefused() async throws {
        let site = try Site(seed: 34, sizes: ["vda": 1 << 20])
        let disk = try #require(site.disks["vda"])
        try disk.save(site.scratch("d.raw"))
        let store = try site.open()
        let cases: [(ReplicationError.Code, ExternalDisk, Int)] = [
            (.notFound, .init(target: "vda", path: site.scratch("none"), format: .raw, size: disk.size), 2),
            (.invalidArgument, .init(target: "vda", path: "d.raw", format: .raw, size: disk.size), 2),
            (.damaged, .init(target: "vda", path: site.scratch("d.raw"), format: .qcow2, size: disk.size), 2),
            (.staleEpoch, .init(target: "vda", path: site.scratch("d.raw"), format: .raw, size: disk.size), 0),
        ]
        let before = await store.manifest
        for (code, external, epoch) in cases {
            let error = await #expect(throws: ReplicationError.self) {
                try await store.adoptExternalBase([external], epoch: epoch)
            }
            #expect(error?.code == code)
        }
        #expect(await store.manifest == before)
        // A disk that was resized at the peer since is taken as large as it is.
        try await store.adoptExternalBase(
            [.init(target: "vda", path: site.scratch("d.raw"), format: .raw, size: 4 << 20)], epoch: 2)
        #expect(await store.manifest.disks.map(\.size) == [disk.size])
    }

    @Test("over and back: a boot overlay of an older epoch becomes the base, and its chain stays")
    func bootOverlayAsBase() async throws {
        let site = try Site(seed: 35)
        let store = try site.open()
        for number in 1...4 { try await site.cycle(store, number) }
        let paths = try await store.bootOverlay(generation: Site.generation(3), epoch: 2)
        try await store.claim(owner: "recovery", epoch: 2)
        try await store.dropAllBut(Site.generation(3))
        try await store.clearMaps()
        // The disks now read as point 3 with what the VM wrote since.
        for (target, disk) in site.disks {
            let reference = try Data(
                contentsOf: URL(fileURLWithPath: try #require(site.references[Site.generation(3)]?[target])))
            reference.withUnsafeBytes { disk.bytes.copyMemory(from: $0) }
            try await write(to: try #require(paths[target]), "0x5a 64k 128k")
            let part = UnsafeMutableRawBufferPointer(rebasing: disk.bytes[65536..<65536 * 3])
            _ = part.initializeMemory(as: UInt8.self, repeating: 0x5a)
        }
        try await store.claim(owner: "primary", epoch: 3)
        try await store.adoptExternalBase(
            site.disks.map {
                ExternalDisk(target: $0.key, path: paths[$0.key] ?? "", format: .qcow2, size: $0.value.size)
            }, epoch: 3)
        #expect(try await store.collectGarbage() == [], "what was there stays until a new point is whole")
        try await site.cycle(store, 11)
        try await site.cycle(store, 12)
        _ = try await store.collectGarbage()
        try await site.verify(store)
        let chain = try await store.chain(of: .point(Site.generation(12)), target: "vda")
        #expect(
            chain.map { ($0.path as NSString).lastPathComponent } == [
                "\(Site.generation(12))-vda.qcow2", "\(Site.generation(11))-vda.qcow2", "boot-e2-vda.qcow2",
                "\(Site.generation(3))-vda.qcow2", "\(Site.generation(2))-vda.qcow2", "base-vda.raw",
            ])
        // Nothing but the chain, its maps and domain files is left of the earlier lineage.
        let manifest = await store.manifest
        #expect(manifest.superseded == [])
        let left = try storeFiles(store).filter { $0.contains(Site.generation(4)) || $0.contains(Site.generation(1)) }
        #expect(left == [])
        try await store.destroy()
        #expect(try storeFiles(store) == [])
    }

    @Test("a store on which a disk outside stands is not removed")
    func destroyRefused() async throws {
        let site = try Site(seed: 36, sizes: ["vda": 1 << 20])
        let store = try site.open()
        try await site.cycle(store, 1)
        let outside = site.scratch("outside.qcow2")
        let made = try await QemuImg.run([
            "create", "-f", "qcow2", "-b", store.path + "/base-vda.raw", "-F", "raw", outside,
        ])
        #expect(made.exitCode == 0)
        try await store.adoptExternalBase(
            [ExternalDisk(target: "vda", path: outside, format: .qcow2, size: 1 << 20)], epoch: 2)
        try await site.cycle(store, 2)
        let error = await #expect(throws: ReplicationError.self) { try await store.destroy() }
        #expect(error?.code == .busy)
        #expect(try await store.collectGarbage() == [])
        #expect(try storeFiles(store).contains("base-vda.raw"))
    }

    /// Writes a pattern into an image as its VM would, with qemu-io.
    private func write(to path: String, _ what: String) async throws {
        try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P \(what)", path)
    }
}
