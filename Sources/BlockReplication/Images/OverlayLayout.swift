/// The shape of the qcow2 files that hold recovery points, after QEMU's docs/interop/qcow2.txt.
///
/// Version 3 with extended L2 entries: clusters of 128 KiB, each of 32 subclusters of 4 KiB that are data, zeros, or absent
/// (read from the backing file) on their own.
enum OverlayLayout {
    static let magic: UInt32 = 0x5146_49FB
    static let clusterBits: UInt64 = 17
    static let clusterSize: UInt64 = 1 << clusterBits
    static let subclusterBits: UInt64 = 12
    /// What is copied from overlay to overlay, or to a base, before others are looked for that wait: below a second.
    static let piece: UInt64 = 64 << 20
    static let subclustersPerCluster: UInt64 = 32
    /// An L2 entry is two words: host offset, and the subclusters' bits.
    static let entriesPerL2: UInt64 = clusterSize / 16
    static let bytesPerL2 = entriesPerL2 * clusterSize
    /// 16-bit reference counts.
    static let countsPerBlock = clusterSize / 2
    static let pointersPerCluster = clusterSize / 8

    /// Bit 63 of an L1 or L2 entry: the cluster's reference count is one.
    static let copied: UInt64 = 1 << 63
    /// Bit 62 of an L2 entry: the cluster is compressed.
    static let compressed: UInt64 = 1 << 62
    /// Bits 9 to 55 of an entry: the place in the file.
    static let offsetMask: UInt64 = 0x00FF_FFFF_FFFF_FE00

    /// Incompatible feature bit 4: extended L2 entries.
    static let extendedL2: UInt64 = 1 << 4

    static func l1Entries(size: UInt64) -> UInt64 { (size + bytesPerL2 - 1) / bytesPerL2 }

    /// One bit for each of `count` subclusters from `first`, in the low half of the bitmap word.
    static func mask(first: UInt64, count: UInt64) -> UInt64 { ((1 << count) - 1) << first }
}
