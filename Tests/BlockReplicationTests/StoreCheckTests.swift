import Foundation
import SiteModel
import Synchronization
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A stored point is checked against what was written, and damage is told of the points that have it")
struct StoreCheckTests {
    typealias Site = StoreSite

    @Test("what was written is found again, and the points say when they were read")
    func sound() async throws {
        let site = try Site(seed: 71)
        let store = try site.open()
        for number in 1...4 { try await site.cycle(store, number) }
        try await store.checkAndRecord()
        #expect(try await store.damaged() == [])
        #expect(await store.manifest.points.allSatisfy { $0.checkedAt != nil })
        #expect(try await store.collectGarbage() == [])
    }

    /// qemu-img is the judge of which points read differently from what the guest wrote.
    @Test(
        "a flipped bit damages the points that show it, and no other one: not older ones, and none that has newer blocks there",
        arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func bitFlip(seed: UInt64) async throws {
        let site = try Site(seed: seed)
        let store = try site.open()
        for number in 1...6 { try await site.cycle(store, number) }
        try await site.flipBit(store)
        #expect(try await store.damaged() == [], "nothing is known before anybody has looked")
        try await store.checkAndRecord()
        let damaged = try await site.readingDifferently(store)
        #expect(!damaged.isEmpty)
        #expect(try await store.damaged() == damaged)

        // A newer point stands on the damaged block unless it has one of its own there.
        try await site.cycle(store, 7)
        #expect(try await store.damaged() == site.readingDifferently(store))

        // Merging and folding copy the damage, and do not make it good.
        try await store.retire([2, 3, 5].map { Site.generation($0) }.reduce(into: Set()) { $0.insert($1) })
        #expect(try await store.damaged() == site.readingDifferently(store))
        let before = try await store.damaged()
        try await store.checkAndRecord()
        #expect(try await store.damaged() == before)
        try await store.keep(newest: 1)
        #expect(try await store.damaged() == site.readingDifferently(store))
        try await store.checkAndRecord()
        #expect(try await store.damaged() == site.readingDifferently(store))
        #expect(try await store.collectGarbage() == [])
    }

    @Test("merging and folding find a flipped bit by themselves", arguments: [11, 12, 13, 14, 15, 16] as [UInt64])
    func foundWhileMerging(seed: UInt64) async throws {
        let site = try Site(seed: seed)
        let store = try site.open()
        for number in 1...6 { try await site.cycle(store, number) }
        // In a layer that will be read by merging or folding, at a block that is still seen from above.
        try await site.flipBit(store, among: 2...5)
        try await store.keep(newest: 1)
        let judged = try await site.readingDifferently(store)
        // What no merging has read shows when it is looked for.
        if try await store.damaged() != judged { try await store.checkAndRecord() }
        #expect(try await store.damaged() == judged)
    }

    /// The first disk is merged, the second makes way; then a point is sealed, and perhaps the process dies.
    @Test(
        "a merge that makes way between two disks keeps the checksums of the first, and what it found wrong there",
        arguments: [false, true], [false, true])
    func makesWay(reopened: Bool, foundBefore: Bool) async throws {
        let site = try Site(seed: 82)
        let merged = Mutex(0)
        var store = try site.open { if $0 == .mergeRenamed { merged.withLock { $0 += 1 } } }
        for number in 1...5 { try await site.cycle(store, number) }
        await store.limitChain(3)
        let first = try #require(await store.manifest.points[2].disks.first?.target)
        if foundBefore { try await site.flipBit(store, among: 2...2, of: first, seenFrom: 3) }
        try await store.retire(Set([2, 4].map(Site.generation)), unless: { merged.withLock { $0 } > 0 })
        #expect(merged.withLock { $0 } == 1)
        #expect(await store.manifest.layers.map(\.number) == [2, 4])
        #expect(try await store.damaged() == site.readingDifferently(store))
        try await site.cycle(store, 6)
        _ = try await store.collectGarbage()
        if reopened {
            await store.close()
            store = try site.open()
            await store.limitChain(3)
        }
        try await store.retire([])
        #expect(await store.manifest.layers.isEmpty)
        #expect(try await store.damaged() == site.readingDifferently(store))
        #expect(try await store.checkAll().unrecorded.isEmpty, "every block has its checksum")
        if !foundBefore {
            try await site.verify(store)
            try await site.flipBit(store, among: 3...5, of: first)
        }
        try await store.checkAndRecord()
        #expect(try await !store.damaged().isEmpty)
        #expect(try await store.damaged() == site.readingDifferently(store))
        #expect(try await store.collectGarbage() == [])
    }

    @Test("a point over the damaged blocks is whole, and the record of the damage goes with its layers")
    func covered() async throws {
        let site = try Site(seed: 77, sizes: ["vda": 2 << 20])
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        try await site.flipBit(store)
        try await store.checkAndRecord()
        let newest = try #require(await store.manifest.newest)
        let draft = try await store.beginPoint(
            generation: Site.generation(4), parent: newest.generation, disks: site.plans)
        let writer = try #require(draft.writers["vda"])
        let disk = try #require(site.disks["vda"])
        try writer.write(disk.slice(0, disk.size), at: 0)
        try site.keepReference(4)
        _ = try await site.seal(draft, 4)
        #expect(try await !store.damaged().contains(4))
        #expect(try await store.damaged() == site.readingDifferently(store))
        try await store.keep(newest: 1)
        try await store.checkAndRecord()
        #expect(try await store.damaged() == [])
        #expect(await store.manifest.damage == nil)
        try await site.verify(store)
    }

    @Test("a changed domain XML damages its own point alone")
    func definition() async throws {
        let site = try Site(seed: 78)
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        let path = store.path + "/" + (await store.manifest.points[1].domainXML)
        try Data("<domain>other</domain>".utf8).write(to: URL(fileURLWithPath: path))
        try await store.checkAndRecord()
        #expect(try await store.damaged() == [2])
        let text = try #require(try await store.damage(of: Site.generation(2))).text
        #expect(text.contains("definition"))
    }

    @Test("an image that is cut short or gone is damage, and not an end of the check")
    func missing() async throws {
        let site = try Site(seed: 79)
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        let disk = try #require(await store.manifest.points[2].disks.first)
        try FileManager.default.removeItem(atPath: store.path + "/" + disk.file)
        try await store.checkAndRecord()
        #expect(try await store.damaged() == [3])
    }

    @Test("a store of a version that kept no checksums says how much it cannot tell, and goes on")
    func older() async throws {
        let site = try Site(seed: 80)
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        try await store.forgetSums()
        let found = try await store.checkAll()
        #expect(found.wrong.isEmpty)
        #expect(found.unrecorded.count == 3)
        try await store.checkAndRecord()
        #expect(await store.manifest.points.allSatisfy { $0.checkedAt == nil })
        try await site.cycle(store, 4)
        try await store.keep(newest: 1)
        #expect(try await store.checkAll().wrong.isEmpty)
    }

    @Test("a check that runs keeps the base from being folded into")
    func pins() async throws {
        let site = try Site(seed: 81)
        let store = try site.open()
        for number in 1...4 { try await site.cycle(store, number) }
        let check = try await store.beginCheck(nil)
        try await store.keep(newest: 1)
        #expect(try await check.run(interrupt: try Interrupt()) { _ in }.wrong.isEmpty)
        try await store.endCheck(check, wrong: [])
        try await store.keep(newest: 1)
        try await site.verify(store)
        // The base, and what was folded into it last.
        #expect(await store.manifest.layers.count <= 2)
    }
}

extension StoreSite {
    /// Flips one bit of a block of data in a random layer.
    ///
    /// Of any disk, or of `target`; and so that some point reads differently, or the one that `seenFrom` says.
    func flipBit(
        _ store: PointStore, among numbers: ClosedRange<Int> = 1...1000, of target: String? = nil,
        seenFrom number: Int? = nil
    ) async throws {
        let manifest = await store.manifest
        let candidates = manifest.points.filter { numbers.contains($0.number) }
        while true {
            let point = try #require(candidates.randomElement(using: &generator))
            let disk = try #require(
                point.disks.filter { target == nil || $0.target == target }.randomElement(using: &generator))
            let path = store.path + "/" + disk.file
            var place: UInt64
            if disk.format == .raw {
                place = UInt64.random(in: 0..<(try ImageFile(reading: path).length()), using: &generator)
            } else {
                let overlay = try OverlayReader(opening: path)
                let data = try overlay.extents().filter { !$0.isZero }
                guard let extent = data.randomElement(using: &generator) else { continue }
                let offset = extent.offset
                let table = L2Buffer()
                try overlay.load(Int(offset / OverlayLayout.bytesPerL2), into: table)
                let slot = Int(offset / OverlayLayout.clusterSize % OverlayLayout.entriesPerL2) * 2
                place = table.words[slot] + offset % OverlayLayout.clusterSize
                place += UInt64.random(in: 0..<512, using: &generator)
            }
            let file = try ImageFile(updating: path)
            var byte: UInt8 = 0
            try withUnsafeMutableBytes(of: &byte) { try file.read(into: $0, at: place) }
            byte ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            try withUnsafeBytes(of: byte) { try file.write($0, at: place) }
            let wrong = try await readingDifferently(store)
            if number.map(wrong.contains) ?? !wrong.isEmpty { return }
        }
    }

    /// Numbers of the points that do not read as their reference, in the eyes of qemu-img.
    func readingDifferently(_ store: PointStore) async throws -> [Int] {
        var numbers: [Int] = []
        for point in await store.manifest.points {
            var isSame = true
            for disk in point.disks {
                let reference = try #require(references[point.generation]?[disk.target])
                let layer = ImageLayer(path: store.path + "/" + disk.file, format: disk.format)
                if try await !QemuImg.haveSameContent(layer, ImageLayer(path: reference, format: .raw)) {
                    isSame = false
                }
            }
            if !isSame { numbers.append(point.number) }
        }
        return numbers
    }

    /// Notes that a generation reads as the disks do now.
    func keepReference(_ number: Int) throws {
        for (target, disk) in disks {
            let path = scratch("\(Self.generation(number))-\(target).reference")
            try disk.save(path)
            references[Self.generation(number), default: [:]][target] = path
        }
    }
}

extension PointStore {
    /// Leaves the store as a version without checksums would have written it.
    func forgetSums() throws {
        try commit { next in
            for index in next.points.indices {
                next.points[index].domainSum = nil
                for disk in next.points[index].disks.indices { next.points[index].disks[disk].sums = nil }
            }
        }
        _ = try collectGarbage()
    }
}
