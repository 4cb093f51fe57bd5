import Foundation
import SiteModel
import Testing

@testable import BlockReplication

@Suite("An overlay's tables are compared with its map before merging and folding make anything of them")
struct StoreTablesTests {
    typealias Site = StoreSite

    /// The layer that is hurt stands on one that holds every block of the disk, so that losing one shows an older one.
    private func hurt(_ fault: TableFault, seed: UInt64) async throws -> (Site, PointStore) {
        let site = try Site(seed: seed, sizes: ["vda": (6 << 20) + 512])
        let store = try site.open()
        try await site.cycle(store, 1)
        try await site.wholeDisk(store, 2)
        for number in 3...5 { try await site.cycle(store, number) }
        try await site.spoilTables(store, of: 3, fault, seenFrom: 5)
        #expect(try await site.differing(store) == [3, 4, 5])
        #expect(try await store.damaged() == [])
        return (site, store)
    }

    /// qemu-img is the judge of which points read differently from what the guest wrote.
    private func isKnown(_ store: PointStore, _ site: Site, _ comment: Comment) async throws {
        let differing = try await site.differing(store)
        #expect(try await store.damaged() == differing, comment)
        // Whoever looks again finds the same: nothing has been washed clean.
        for _ in 0..<2 { try await store.checkAndRecord() }
        #expect(try await store.damaged() == differing, comment)
        #expect(try await store.collectGarbage() == [])
    }

    @Test("an older block that a fold lets into the base is never taken for good", arguments: TableFault.allCases)
    func fold(fault: TableFault) async throws {
        let (site, store) = try await hurt(fault, seed: 91)
        try await store.retire(Set([1, 2, 3].map(Site.generation)))
        #expect(await store.manifest.layers.filter { $0.isFolded == true }.map(\.number).contains(3))
        #expect(try await site.differing(store).contains(5))
        try await isKnown(store, site, "folded with \(fault)")
        // A point over all of it is whole.
        try await site.wholeDisk(store, 6)
        try await store.keep(newest: 1)
        try await isKnown(store, site, "covered after \(fault)")
        #expect(try await site.differing(store) == [])
    }

    @Test("nor is one that a merger takes from the layer beneath", arguments: TableFault.allCases)
    func merge(fault: TableFault) async throws {
        let (site, store) = try await hurt(fault, seed: 92)
        await store.limitChain(4)
        try await store.retire([Site.generation(2)])
        #expect(await store.manifest.layers.isEmpty, "2 has gone into 3")
        #expect(try await site.differing(store).contains(5))
        try await isKnown(store, site, "merged with \(fault)")
        try await store.keep(newest: 1)
        try await isKnown(store, site, "merged and folded with \(fault)")
    }

    @Test("a fold that stops where the layer is empty already keeps what it found", arguments: TableFault.allCases)
    func stopped(fault: TableFault) async throws {
        let (site, first) = try await hurt(fault, seed: 93)
        await first.close()
        let crash = CrashOnce(.foldRenamed, number: 2)
        var store = try site.open { try crash.hit($0) }
        await #expect(throws: SimulatedCrash.self) {
            try await store.retire(Set([1, 2, 3].map(Site.generation)))
        }
        await store.close()
        store = try site.open()
        #expect(try await store.damaged() == site.differing(store))
        try await store.retire([])
        try await isKnown(store, site, "folded in two goes with \(fault)")
    }

    @Test("a table that cannot be read leaves its layer as it is, and what else is due is done")
    func unreadable() async throws {
        let site = try Site(seed: 94, sizes: ["vda": (6 << 20) + 512])
        let store = try site.open()
        for number in 1...7 { try await site.cycle(store, number) }
        try await site.contradict(store, 4)
        try await store.keep(newest: 1)
        let layers = await store.manifest.layers
        #expect(
            layers.allSatisfy { ![2, 3].contains($0.number) || $0.isFolded == true }, "what lies beneath is folded")
        #expect(layers.contains { $0.number == 4 && $0.isFolded == nil })
        #expect(!layers.contains { $0.number == 5 }, "what lies above is merged")
        #expect(try await store.damaged() == [7])
        #expect(try await store.damage(of: Site.generation(7))?.cause == .altered)
        try await store.checkAndRecord()
        #expect(try await store.damaged() == [7])
        // The next ones come and go as ever.
        for number in 8...12 {
            try await site.cycle(store, number)
            try await store.keep(newest: 2)
        }
        try await site.wholeDisk(store, 13)
        try await store.keep(newest: 1)
        #expect(try await store.damaged() == [])
        try await store.checkAndRecord()
        #expect(try await store.damaged() == [])
        #expect(try await site.differing(store) == [])
    }

    @Test("a disk whose table cannot be read leaves the other disks' images as they are, and no file behind")
    func otherDisks() async throws {
        let site = try Site(seed: 98)
        let store = try site.open()
        for number in 1...5 { try await site.cycle(store, number) }
        await store.limitChain(3)
        let disks = try #require(await store.manifest.points.first { $0.number == 3 }?.disks)
        try await site.contradict(store, 3, of: try #require(disks.last?.target))
        let files = try storeFiles(store)
        for _ in 0..<3 { try await store.retire(Set([2, 3, 4].map(Site.generation))) }
        let left = try storeFiles(store)
        #expect(left.isSubset(of: files.union(Self.named(by: await store.manifest))), "\(left.subtracting(files))")
        #expect(try await store.collectGarbage() == [])
        // A small disk may be covered by newer blocks.
        #expect(Set(try await store.damaged()).isSuperset(of: try await site.differing(store)))
        #expect(await store.manifest.damage?.contains { $0.generation == Site.generation(3) } == true)
    }

    private static func named(by manifest: Manifest) -> Set<String> {
        Set((manifest.layers.flatMap(\.disks) + manifest.points.flatMap(\.disks)).flatMap(\.files))
    }

    @Test("a header with another size is damage: the VM would see another disk")
    func size() async throws {
        let site = try Site(seed: 95, sizes: ["vda": (6 << 20) + 512])
        let store = try site.open()
        for number in 1...3 { try await site.cycle(store, number) }
        let disk = try #require(await store.manifest.points[1].disks.first)
        // Bytes 24 to 31: the size, most significant byte first.
        try flipBits(store.path + "/" + disk.file, at: 30, mask: 0x10)
        try await store.checkAndRecord()
        #expect(try await store.damaged().contains(2))
        try await store.keep(newest: 1)
        #expect(await store.manifest.layers.contains { $0.number == 2 })
    }

    @Test("a damaged map alone is made again from the tables")
    func map() async throws {
        let site = try Site(seed: 96, sizes: ["vda": (6 << 20) + 512])
        let store = try site.open()
        for number in 1...5 { try await site.cycle(store, number) }
        let disk = try #require(await store.manifest.points[2].disks.first)
        try flipBits(store.path + "/" + disk.map, at: 20, mask: 1)
        try await store.keep(newest: 1)
        #expect(await store.manifest.layers.count <= 2)
        try await site.verify(store)
    }
}

/// What a flipped bit in a table makes of a block.
enum TableFault: CaseIterable, CustomTestStringConvertible {
    /// Data is absent: what lies beneath shows.
    case lostBlock
    /// What lay beneath is covered by zeros that nobody wrote.
    case gainedZeros
    /// What lay beneath is covered by whatever stands at that place of the file.
    case gainedBlock
    /// All blocks of an L2 table are absent.
    case lostTable

    var testDescription: String { "\(self)" }
}

/// Ends an operation at one kind of step, the n-th time.
final class CrashOnce: @unchecked Sendable {  // guarded by `lock`
    private let lock = NSLock()
    private let step: StoreStep
    private var left: Int

    init(_ step: StoreStep, number: Int) { (self.step, left) = (step, number) }

    func hit(_ step: StoreStep) throws {
        try lock.withLock {
            guard step == self.step else { return }
            left -= 1
            if left == 0 { throw SimulatedCrash(step: step) }
        }
    }
}

/// Changes one byte of a file in place.
func flipBits(_ path: String, at place: UInt64, mask: UInt8) throws {
    let file = try ImageFile(updating: path)
    var byte: UInt8 = 0
    try withUnsafeMutableBytes(of: &byte) { try file.read(into: $0, at: place) }
    byte ^= mask
    try withUnsafeBytes(of: byte) { try file.write($0, at: place) }
}

extension StoreSite {
    /// A point that holds every block of every disk.
    fileprivate func wholeDisk(_ store: PointStore, _ number: Int) async throws {
        let parent = await store.manifest.newest?.generation
        let draft = try await store.beginPoint(generation: Self.generation(number), parent: parent, disks: plans)
        for (target, disk) in disks.sorted(by: { $0.key < $1.key }) {
            disk.fill(0, disk.size, &generator)
            try #require(draft.writers[target]).write(disk.slice(0, disk.size), at: 0)
        }
        try keepReference(number)
        _ = try await seal(draft, number)
    }

    /// Numbers of the points that do not read as their reference, or not at all.
    fileprivate func differing(_ store: PointStore) async throws -> [Int] {
        var numbers: [Int] = []
        for point in await store.manifest.points {
            for disk in point.disks {
                let reference = try #require(references[point.generation]?[disk.target])
                let layer = ImageLayer(path: store.path + "/" + disk.file, format: disk.format)
                let same = try? await QemuImg.haveSameContent(layer, ImageLayer(path: reference, format: .raw))
                if same != true, numbers.last != point.number { numbers.append(point.number) }
            }
        }
        return numbers
    }

    /// Flips bits of a point's L1 or L2 table until a newer point reads differently.
    fileprivate func spoilTables(
        _ store: PointStore, of number: Int, _ fault: TableFault, seenFrom newest: Int
    ) async throws {
        let disk = try #require(await store.manifest.points.first { $0.number == number }?.disks.first)
        let path = store.path + "/" + disk.file
        let overlay = try OverlayReader(opening: path)
        if fault == .lostTable {
            let header = try Qcow2Header(reading: overlay.file)
            // The place's lowest bits are zero: its own highest byte that is not is cleared bit by bit.
            for byte in UInt64(0)..<8 {
                let bits = UInt8(overlay.l1[0].bigEndian >> (byte * 8) & 0xFF)
                try flipBits(path, at: header.l1Offset + byte, mask: bits)
            }
            return
        }
        let table = L2Buffer()
        try overlay.load(0, into: table)
        for bit in UInt64(0)..<32 {
            for slot in stride(from: 0, to: table.words.count, by: 2) {
                let (data, zeros) = (table.words[slot + 1] >> bit & 1, table.words[slot + 1] >> (bit + 32) & 1)
                let isWanted =
                    switch fault {
                    case .lostBlock: data == 1
                    case .gainedZeros: data == 0 && zeros == 0
                    case .gainedBlock, .lostTable: data == 0 && zeros == 0 && table.words[slot] != 0
                    }
                let offset = UInt64(slot / 2) << OverlayLayout.clusterBits + bit << OverlayLayout.subclusterBits
                guard isWanted, offset + 4096 <= overlay.size else { continue }
                let place = overlay.l1[0] + UInt64(slot) * 8 + 8
                // Most significant byte first.
                let number = fault == .gainedZeros ? bit + 32 : bit
                try flipBits(path, at: place + 7 - number / 8, mask: 1 << UInt8(number % 8))
                if try await differing(store).contains(newest) { return }
                try flipBits(path, at: place + 7 - number / 8, mask: 1 << UInt8(number % 8))
            }
        }
        Issue.record("no block of point \(number) shows in point \(newest)")
    }

    /// Says of a block of a point that it is data and zeros at once.
    fileprivate func contradict(_ store: PointStore, _ number: Int, of target: String = "vda") async throws {
        let point = try #require(await store.manifest.points.first { $0.number == number })
        let disk = try #require(point.disks.first { $0.target == target })
        let overlay = try OverlayReader(opening: store.path + "/" + disk.file)
        let table = L2Buffer()
        try overlay.load(0, into: table)
        let slot = try #require(
            stride(from: 0, to: table.words.count, by: 2).first { table.words[$0 + 1] & 0xFFFF_FFFF != 0 })
        let bit = UInt64((table.words[slot + 1] & 0xFFFF_FFFF).trailingZeroBitCount) + 32
        let place = overlay.l1[0] + UInt64(slot) * 8 + 8
        try flipBits(overlay.file.path, at: place + 7 - bit / 8, mask: 1 << UInt8(bit % 8))
    }
}
