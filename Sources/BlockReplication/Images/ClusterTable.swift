/// Where each cluster of a disk lies in an overlay file, and which of its subclusters are data or zeros.
///
/// Held in memory while an overlay is written: one page of 4 KiB for every 32 MiB of disk that is touched at all, plus 8 bytes
/// for every 32 MiB of disk. So it grows to 128 MiB for each TiB that is touched everywhere, and is small otherwise.
struct ClusterTable {
    static let clustersPerPage: UInt64 = 256

    /// 256 entries of two words: host offset (0: none) and bitmap, as in the file but in the machine's byte order.
    final class Page {
        let words: UnsafeMutablePointer<UInt64>

        init() {
            words = .allocate(capacity: 512)
            words.initialize(repeating: 0, count: 512)
        }

        deinit { words.deallocate() }
    }

    private(set) var pages: [Page?]

    init(size: UInt64) {
        let clusters = (size + OverlayLayout.clusterSize - 1) / OverlayLayout.clusterSize
        let count = (clusters + Self.clustersPerPage - 1) / Self.clustersPerPage
        pages = Array(repeating: nil, count: Int(count))
    }

    /// The two words of a cluster's entry, made if there are none yet; valid while the table lives.
    mutating func entry(_ cluster: UInt64) -> UnsafeMutablePointer<UInt64> {
        let index = Int(cluster / Self.clustersPerPage)
        let offset = Int(cluster % Self.clustersPerPage) * 2
        if let page = pages[index] { return page.words + offset }
        let page = Page()
        pages[index] = page
        return page.words + offset
    }

    /// The ranges that are data or zeros.
    func extents(size: UInt64) -> ExtentMap {
        var builder = ExtentBuilder(size: size)
        for (index, page) in pages.enumerated() {
            guard let page else { continue }
            for slot in 0..<Int(Self.clustersPerPage) {
                let bitmap = page.words[slot * 2 + 1]
                if bitmap == 0 { continue }
                let cluster = UInt64(index) * Self.clustersPerPage + UInt64(slot)
                builder.add(cluster: cluster, bitmap: bitmap)
            }
        }
        return builder.map
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
