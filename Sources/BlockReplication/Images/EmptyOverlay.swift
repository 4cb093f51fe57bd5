/// Creates the empty image that a failed-over VM writes to.
///
/// Plain qcow2 version 3 with clusters of 64 KiB: libvirt can keep checkpoints in it as persistent bitmaps.
package enum EmptyOverlay {
    private static let clusterBits: UInt64 = 16

    /// Creates and flushes an empty overlay of `size` bytes on `backing`; the path must not exist.
    package static func create(_ path: String, size: UInt64, backing: BackingReference) throws {
        try BlockGrid.checkDisk(size: size)
        let file = try ImageFile(creating: path)
        let clusterSize: UInt64 = 1 << clusterBits
        let pointers = clusterSize / 8
        let l1Entries = (size + pointers * clusterSize - 1) / (pointers * clusterSize)
        // Header, L1 table (all holes: nothing is allocated), reference counts.
        let l1Clusters = OverlayTables.clusters(for: l1Entries, perCluster: pointers)
        let counts = ReferenceCounts(
            clustersBefore: 1 + l1Clusters, perBlock: clusterSize / 2, pointersPerCluster: pointers,
            clusterSize: clusterSize)
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(clusterSize), alignment: 4096)
        defer { scratch.deallocate() }
        try counts.write(to: file, scratch: scratch)
        try file.truncate(to: counts.totalClusters * clusterSize)
        let header = Qcow2Header(
            clusterBits: clusterBits, size: size, l1Entries: l1Entries, l1Offset: clusterSize,
            referenceTableOffset: counts.tableOffset, referenceTableClusters: counts.tableClusters, incompatible: 0,
            backing: backing)
        try header.write(to: file)
        try file.sync()
    }
}
