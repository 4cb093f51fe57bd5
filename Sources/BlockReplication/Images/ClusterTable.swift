internal import Glibc

/// Where each cluster of a disk lies in an overlay file, and which of its subclusters are data or zeros.
///
/// Kept while an overlay is written: one page of 4 KiB for every 32 MiB of disk that is touched at all. Of these so many are in
/// memory, the others in a file without a name beside the overlay, which goes with the table; in memory is also a
/// word for every page, in folders for the 128 GiB that are touched at all. So a disk takes 8 MiB and no more than 256 KiB for
/// each TiB. Whoever writes goes up the disk, more or less: a page is put away when it is the one taken in longest ago.
final class ClusterTable {
    static let clustersPerPage: UInt64 = 256
    static let pageBytes = Int(clustersPerPage) * 16
    static let pagesPerFolder = 4096
    /// Pages in memory: the changes of 64 GiB of disk.
    static let pagesInMemory = 2048

    /// 256 entries of two words: host offset (0: none) and bitmap, as in the file but in the machine's byte order.
    typealias Page = UnsafeMutablePointer<UInt64>

    /// Where a page is: its place in memory, or in the file when negative.
    private enum Home {
        static let none: Int32 = 0
        static func memory(_ slot: Int) -> Int32 { Int32(slot + 1) }
        static func file(_ slot: Int) -> Int32 { Int32(-slot - 1) }
    }

    private let memory: UnsafeMutablePointer<UInt64>
    private let limit: Int
    private var folders: [[Int32]?]
    /// The page in each place of memory, and where it has a place in the file (-1: none yet).
    private var held: [(page: Int, fileSlot: Int)] = []
    private var oldest = 0
    private var file: SpillFile?
    private let path: String
    let pageCount: Int

    /// Makes an empty table for a disk; `path` is the overlay's.
    init(size: UInt64, beside path: String, pagesInMemory: Int = ClusterTable.pagesInMemory) {
        let clusters = (size + OverlayLayout.clusterSize - 1) / OverlayLayout.clusterSize
        pageCount = Int((clusters + Self.clustersPerPage - 1) / Self.clustersPerPage)
        folders = Array(repeating: nil, count: (pageCount + Self.pagesPerFolder - 1) / Self.pagesPerFolder)
        limit = max(1, min(pagesInMemory, pageCount))
        // Touched as it is used.
        memory = .allocate(capacity: limit * 512)
        self.path = path
    }

    deinit { memory.deallocate() }

    /// The two words of a cluster's entry, made if there are none yet; valid until the next call.
    func entry(_ cluster: UInt64) throws -> UnsafeMutablePointer<UInt64> {
        let index = Int(cluster / Self.clustersPerPage)
        let page = try self.page(index) ?? makePage(index)
        return page + Int(cluster % Self.clustersPerPage) * 2
    }

    /// A page that has entries, valid until the next call; nil when nothing was entered there.
    func page(_ index: Int) throws -> Page? {
        let home = folders[index / Self.pagesPerFolder]?[index % Self.pagesPerFolder] ?? Home.none
        if home == Home.none { return nil }
        if home > 0 { return memory + Int(home - 1) * 512 }
        let fileSlot = Int(-home - 1)
        let slot = try freeSlot()
        let page = memory + slot * 512
        try file?.read(page, at: fileSlot)
        take(slot, index, fileSlot: fileSlot)
        return page
    }

    private func makePage(_ index: Int) throws -> Page {
        let slot = try freeSlot()
        let page = memory + slot * 512
        page.initialize(repeating: 0, count: 512)
        take(slot, index, fileSlot: -1)
        return page
    }

    private func take(_ slot: Int, _ index: Int, fileSlot: Int) {
        if slot == held.count { held.append((index, fileSlot)) } else { held[slot] = (index, fileSlot) }
        setHome(index, Home.memory(slot))
    }

    private func setHome(_ index: Int, _ home: Int32) {
        let folder = index / Self.pagesPerFolder
        if folders[folder] == nil { folders[folder] = Array(repeating: Home.none, count: Self.pagesPerFolder) }
        folders[folder]?[index % Self.pagesPerFolder] = home
    }

    /// A place in memory; when all are taken, that of the page that was taken in first.
    private func freeSlot() throws -> Int {
        if held.count < limit { return held.count }
        let slot = oldest
        let index = held[slot].page
        var fileSlot = held[slot].fileSlot
        let file = try self.file ?? SpillFile(beside: path)
        self.file = file
        if fileSlot < 0 { fileSlot = file.newSlot() }
        try file.write(memory + slot * 512, at: fileSlot)
        setHome(index, Home.file(fileSlot))
        oldest = (oldest + 1) % limit
        return slot
    }

    /// The ranges that are data or zeros.
    func extents(size: UInt64) throws -> ExtentMap {
        var builder = ExtentBuilder(size: size)
        for index in 0..<pageCount {
            guard let page = try page(index) else { continue }
            for slot in 0..<Int(Self.clustersPerPage) {
                let bitmap = page[slot * 2 + 1]
                if bitmap == 0 { continue }
                let cluster = UInt64(index) * Self.clustersPerPage + UInt64(slot)
                builder.add(cluster: cluster, bitmap: bitmap)
            }
        }
        return builder.map
    }
}

/// Pages that are not in memory: a file that has no name, so that it goes with who opened it.
private final class SpillFile {
    private let file: ImageFile
    private var slots = 0

    init(beside path: String) throws {
        let name = path + StoreNames.table
        // One that a process left which was killed between these two.
        unlink(name)
        file = try ImageFile(creating: name)
        unlink(name)
    }

    func newSlot() -> Int {
        slots += 1
        return slots - 1
    }

    func write(_ page: ClusterTable.Page, at slot: Int) throws {
        try file.write(
            UnsafeRawBufferPointer(start: page, count: ClusterTable.pageBytes),
            at: UInt64(slot * ClusterTable.pageBytes))
    }

    func read(_ page: ClusterTable.Page, at slot: Int) throws {
        try file.read(
            into: UnsafeMutableRawBufferPointer(start: page, count: ClusterTable.pageBytes),
            at: UInt64(slot * ClusterTable.pageBytes))
    }
}

/// Turns the subcluster bits of ascending clusters into extents.
struct ExtentBuilder {
    let size: UInt64
    private(set) var map = ExtentMap()

    init(size: UInt64) { self.size = size }

    mutating func add(cluster: UInt64, bitmap: UInt64) {
        let start = cluster << OverlayLayout.clusterBits
        let data = bitmap & 0xFFFF_FFFF
        let zeros = bitmap >> 32
        SubclusterRuns.forEach(in: data | zeros) { first, count in
            // A run of present subclusters changes kind at most 31 times inside.
            var at = first
            while at < first + count {
                let isZero = zeros >> at & 1 == 1
                let same = (isZero ? zeros : data) >> at
                let length = min(UInt64((~same).trailingZeroBitCount), first + count - at)
                let from = start + at << OverlayLayout.subclusterBits
                let to = min(from + length << OverlayLayout.subclusterBits, size)
                if from < to { map.insert(Extent(offset: from, length: to - from, isZero: isZero)) }
                at += length
            }
        }
    }
}

/// Goes through the runs of set bits in a word.
enum SubclusterRuns {
    static func forEach(in bits: UInt64, _ body: (_ first: UInt64, _ count: UInt64) throws -> Void) rethrows {
        var rest = bits
        while rest != 0 {
            let first = UInt64(rest.trailingZeroBitCount)
            let count = UInt64((~(rest >> first)).trailingZeroBitCount)
            try body(first, count)
            rest &= ~(OverlayLayout.mask(first: first, count: count))
        }
    }
}
