import Foundation
import TestSupport
import Testing

@testable import BlockReplication

@Suite("An overlay reads as what was written to it over its backing file")
struct ImagesOverlayTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        var name: String
        var size: Int
        var changes: Int
        var longest: UInt64
        var testDescription: String { name }
    }

    static let shapes: [Shape] = [
        .init(name: "one sector", size: 512, changes: 3, longest: 1),
        .init(name: "one block and a sector", size: 4096 + 512, changes: 5, longest: 2),
        .init(name: "one cluster less a sector", size: 131_072 - 512, changes: 20, longest: 8),
        .init(name: "scattered single blocks", size: 64 << 20, changes: 400, longest: 1),
        .init(name: "long overlapping runs, odd end", size: (48 << 20) + 3 * 512, changes: 150, longest: 500),
        .init(name: "whole disk rewritten", size: (9 << 20) + 512, changes: 40, longest: 3000),
        .init(name: "no change at all", size: 5 << 20, changes: 0, longest: 1),
    ]

    @Test("random extents, judged by qemu-img check and compare", arguments: shapes, [1, 2, 3] as [UInt64])
    func randomExtents(_ shape: Shape, seed: UInt64) async throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: seed)
        let disk = ReferenceDisk(size: shape.size)
        let base = try RawBaseWriter(creating: scratch("base.raw"), size: disk.size)
        _ = try disk.change(30, longest: 64, &generator, to: [base])
        _ = try base.finish()
        #expect(try await reads(ImageLayer(path: base.path, format: .raw), as: disk, in: scratch))

        let path = scratch("p1.qcow2")
        let writer = try OverlayWriter(
            creating: path, size: disk.size, backing: BackingReference(file: "base.raw", format: .raw))
        let touched = try disk.change(shape.changes, longest: shape.longest, &generator, to: [writer])
        let summary = try writer.finish()
        #expect(summary.extents == touched)
        let layer = ImageLayer(path: path, format: .qcow2)
        try await QemuImg.check(layer)
        #expect(try await reads(layer, as: disk, in: scratch))

        let reader = try OverlayReader(opening: path)
        #expect(try reader.extents() == touched)
        for extent in touched {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(extent.length), alignment: 4096)
            defer { buffer.deallocate() }
            try reader.read(into: buffer, at: extent.offset)
            let same = disk.slice(extent.offset, extent.length).elementsEqual(buffer)
            #expect(same, "the reader gives other bytes at \(extent.offset)")
        }
    }

    @Test("a table of which two pages are in memory, written up and down the disk", arguments: [1, 2, 3] as [UInt64])
    func spilledTable(seed: UInt64) async throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: seed)
        // Seven pages of the table.
        let disk = ReferenceDisk(size: (200 << 20) + 512)
        try disk.save(scratch("base.raw"))
        let path = scratch("p1.qcow2")
        let writer = try OverlayWriter(
            creating: path, size: disk.size, backing: BackingReference(file: "base.raw", format: .raw),
            pagesInMemory: 2)
        let touched = try disk.change(300, longest: 40, &generator, to: [writer])
        #expect(try writer.finish().extents == touched)
        #expect(try OverlayReader(opening: path).extents() == touched)
        let layer = ImageLayer(path: path, format: .qcow2)
        try await QemuImg.check(layer)
        #expect(try await reads(layer, as: disk, in: scratch))
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["base.raw", "p1.qcow2"])
    }

    @Test("a table remembers every entry, however few of its pages are in memory", arguments: [1, 2, 5, 64])
    func tableInPages(_ pagesInMemory: Int) throws {
        let scratch = try Scratch()
        // Two folders of pages and some; clusters far apart.
        let size: UInt64 = 300 << 30
        let table = ClusterTable(size: size, beside: scratch("image"), pagesInMemory: pagesInMemory)
        var generator = SeededGenerator(seed: 9)
        var expected: [UInt64: UInt64] = [:]
        let clusters = (0..<40).map { _ in UInt64.random(in: 0..<size >> OverlayLayout.clusterBits, using: &generator) }
        for value in 1...2000 as ClosedRange<UInt64> {
            guard let cluster = clusters.randomElement(using: &generator) else { continue }
            let entry = try table.entry(cluster)
            #expect(entry[0] == expected[cluster] ?? 0)
            (entry[0], expected[cluster]) = (value, value)
        }
        let pages = try (0..<table.pageCount).filter { try table.page($0) != nil }
        #expect(pages == Set(expected.keys.map { Int($0 / ClusterTable.clustersPerPage) }).sorted())
    }

    @Test(
        "a chain of overlays, merged pair by pair in any order, still reads the same",
        arguments: [11, 12, 13, 14] as [UInt64])
    func mergeChain(seed: UInt64) async throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: seed)
        let disk = ReferenceDisk(size: (24 << 20) + 512 * Int(seed % 8))
        let base = try RawBaseWriter(creating: scratch("p0"), size: disk.size)
        _ = try disk.change(40, longest: 200, &generator, to: [base])
        _ = try base.finish()
        var maps: [ExtentMap] = [.whole(disk.size)]
        for number in 1...6 {
            let writer = try OverlayWriter(
                creating: scratch("p\(number)"), size: disk.size,
                backing: BackingReference(file: "p\(number - 1)", format: number == 1 ? .raw : .qcow2))
            _ = try disk.change(60, longest: 60, &generator, to: [writer])
            maps.append(try writer.finish().extents)
        }
        var chain = Array(1...6)
        while chain.count > 1 {
            let index = Int.random(in: 0..<chain.count - 1, using: &generator)
            let (older, newer) = (chain[index], chain[index + 1])
            let part = scratch("p\(newer).part")
            let summary = try await OverlayMerge.merge(
                older: scratch("p\(older)"), newer: scratch("p\(newer)"), to: part
            ).summary
            maps[newer] = maps[older].union(maps[newer])
            #expect(summary.extents == maps[newer])
            try FileManager.default.removeItem(atPath: scratch("p\(newer)"))
            try FileManager.default.moveItem(atPath: part, toPath: scratch("p\(newer)"))
            try FileManager.default.removeItem(atPath: scratch("p\(older)"))
            chain.remove(at: index)
            try await QemuImg.check(ImageLayer(path: scratch("p\(newer)"), format: .qcow2))
            #expect(try await reads(ImageLayer(path: scratch("p6"), format: .qcow2), as: disk, in: scratch))
        }
    }

    @Test("several threads may write at once")
    func concurrentWriters() async throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: 5)
        let disk = ReferenceDisk(size: 32 << 20)
        try disk.save(scratch("zero.raw"))
        disk.fill(0, disk.size, &generator)
        let writer = try OverlayWriter(
            creating: scratch("p"), size: disk.size, backing: BackingReference(file: "zero.raw", format: .raw))
        nonisolated(unsafe) let shared = disk
        DispatchQueue.concurrentPerform(iterations: 4) { lane in
            for block in stride(from: UInt64(lane), to: 512, by: 4) {
                do { try writer.write(shared.slice(block << 16, 1 << 16), at: block << 16) } catch {
                    Issue.record(error)
                }
            }
        }
        _ = try writer.finish()
        let layer = ImageLayer(path: writer.path, format: .qcow2)
        try await QemuImg.check(layer)
        #expect(try await reads(layer, as: disk, in: scratch))
    }

    @Test("a large disk costs only what is touched")
    func largeDisk() async throws {
        let scratch = try Scratch()
        let size: UInt64 = 8 << 40
        _ = try RawBaseWriter(creating: scratch("base"), size: size).finish()
        let writer = try OverlayWriter(
            creating: scratch("p"), size: size, backing: BackingReference(file: "base", format: .raw))
        var generator = SeededGenerator(seed: 1)
        let block = ReferenceDisk(size: 4096)
        block.fill(0, 4096, &generator)
        for gib in 0..<UInt64(200) { try writer.write(block.slice(0, 4096), at: gib * (41 << 30) + 4096) }
        try writer.write(block.slice(0, 4096), at: size - 4096)
        let summary = try writer.finish()
        #expect(summary.extents.byteCount == 201 * 4096)
        #expect(summary.allocatedBytes < 4 << 20)
        try await QemuImg.check(ImageLayer(path: writer.path, format: .qcow2))
    }

    @Test(
        "ranges off the grid or beyond the disk are refused",
        arguments: [(512, 4096), (0, 512), (8192, 8192), (UInt64.max - 4095, 4096), (4096, UInt64.max)]
            as [(UInt64, UInt64)])
    func refusedRanges(offset: UInt64, length: UInt64) throws {
        let scratch = try Scratch()
        let writer = try OverlayWriter(
            creating: scratch("p"), size: 12288, backing: BackingReference(file: "b", format: .raw))
        let error = #expect(throws: ReplicationError.self) { try writer.zero(offset: offset, length: length) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("an unfinished overlay, and any file that is not ours, is refused")
    func foreignFiles() async throws {
        let scratch = try Scratch()
        let writer = try OverlayWriter(
            creating: scratch("unfinished"), size: 1 << 20, backing: BackingReference(file: "b", format: .raw))
        let disk = ReferenceDisk(size: 1 << 20)
        try writer.write(disk.slice(0, 1 << 20), at: 0)
        let unfinished = #expect(throws: ReplicationError.self) {
            _ = try OverlayReader(opening: scratch("unfinished"))
        }
        #expect(unfinished?.code == .damaged)

        try disk.save(scratch("b"))
        let foreign: [(String, [String])] = [
            ("plain", ["-b", "b", "-F", "raw"]),
            ("other-clusters", ["-o", "extended_l2=on,cluster_size=64k", "-b", "b", "-F", "raw"]),
            ("no-backing", ["-o", "extended_l2=on,cluster_size=128k"]),
            ("lazy", ["-o", "extended_l2=on,cluster_size=128k,data_file=\(scratch("x"))"]),
        ]
        for (name, options) in foreign {
            let size = options.contains("-b") ? [] : ["1M"]
            let made = try await QemuImg.run(["create", "-f", "qcow2"] + options + [scratch(name)] + size)
            #expect(made.exitCode == 0, "\(made.text)")
            let error = #expect(throws: ReplicationError.self, "\(name)") {
                _ = try OverlayReader(opening: scratch(name))
            }
            #expect(error?.code == .unsupported)
        }
    }

    @Test("a damaged L2 entry is found, not followed", arguments: [1 << 62, 1 << 40, 512] as [UInt64])
    func damagedEntry(_ bits: UInt64) throws {
        let scratch = try Scratch()
        let disk = ReferenceDisk(size: 1 << 20)
        let writer = try OverlayWriter(
            creating: scratch("p"), size: disk.size, backing: BackingReference(file: "b", format: .raw))
        try writer.write(disk.slice(0, 8192), at: 0)
        _ = try writer.finish()
        let reader = try OverlayReader(opening: writer.path)
        var entry = (OverlayLayout.clusterSize | OverlayLayout.copied | bits).bigEndian
        let place = reader.l1[0]
        try withUnsafeBytes(of: &entry) { try writer.file.write($0, at: place) }
        let error = #expect(throws: ReplicationError.self) { _ = try reader.extents() }
        #expect(error?.code == .damaged)
    }

    @Test("a boot image is sound, reads as its backing file and takes persistent bitmaps")
    func bootImage() async throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: 9)
        for size in [512, (40 << 20) + 512] {
            let disk = ReferenceDisk(size: size)
            disk.fill(0, 512, &generator)
            try disk.save(scratch("base-\(size)"))
            let layer = ImageLayer(path: scratch("boot-\(size)"), format: .qcow2)
            try EmptyOverlay.create(
                layer.path, size: disk.size, backing: BackingReference(file: "base-\(size)", format: .raw))
            try await QemuImg.check(layer)
            #expect(try await reads(layer, as: disk, in: scratch))
            let bitmap = try await QemuImg.run(["bitmap", "--add", "-f", "qcow2", layer.path, "first"])
            #expect(bitmap.exitCode == 0, "\(bitmap.text)")
            try await QemuImg.check(layer)
        }
    }
}
