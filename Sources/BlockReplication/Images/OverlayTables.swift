/// Writes what makes a finished overlay of the data clusters: L2 tables, L1 table, reference counts, and the header last.
struct OverlayTables {
    let table: ClusterTable
    /// Clusters of the file that the header and the data take up.
    let dataEnd: UInt64
    let size: UInt64

    private static let pagesPerL2 = Int(OverlayLayout.entriesPerL2 / ClusterTable.clustersPerPage)

    func write(to file: ImageFile, backing: BackingReference) throws {
        let clusterSize = OverlayLayout.clusterSize
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(clusterSize), alignment: 4096)
        defer { scratch.deallocate() }

        let l1Entries = OverlayLayout.l1Entries(size: size)
        var l1 = [UInt64](repeating: 0, count: Int(l1Entries))
        var next = dataEnd
        for index in 0..<Int(l1Entries) {
            if try writeL2(index, at: next * clusterSize, to: file, scratch: scratch) {
                l1[index] = (next * clusterSize | OverlayLayout.copied).bigEndian
                next += 1
            }
        }
        let l1Offset = next * clusterSize
        try l1.withUnsafeBytes { try file.write($0, at: l1Offset) }
        next += Self.clusters(for: l1Entries, perCluster: OverlayLayout.pointersPerCluster)

        let counts = ReferenceCounts(
            clustersBefore: next, perBlock: OverlayLayout.countsPerBlock,
            pointersPerCluster: OverlayLayout.pointersPerCluster, clusterSize: clusterSize)
        try counts.write(to: file, scratch: scratch)
        try file.truncate(to: counts.totalClusters * clusterSize)
        try file.sync()

        let header = Qcow2Header(
            clusterBits: OverlayLayout.clusterBits, size: size, l1Entries: l1Entries, l1Offset: l1Offset,
            referenceTableOffset: counts.tableOffset, referenceTableClusters: counts.tableClusters,
            incompatible: OverlayLayout.extendedL2, backing: backing)
        try header.write(to: file)
        try file.sync()
    }

    /// Writes the pages of one L2 table that have entries; the others stay holes.
    ///
    /// False when the table would be empty.
    private func writeL2(
        _ index: Int, at offset: UInt64, to file: ImageFile, scratch: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        let first = index * Self.pagesPerL2
        var isUsed = false
        for slot in 0..<min(Self.pagesPerL2, table.pageCount - first) {
            guard let page = try table.page(first + slot) else { continue }
            let target = scratch.bindMemory(to: UInt64.self)
            for word in stride(from: 0, to: 512, by: 2) {
                let place = page[word]
                target[word] = (place == 0 ? 0 : place | OverlayLayout.copied).bigEndian
                target[word + 1] = page[word + 1].bigEndian
            }
            try file.write(
                UnsafeRawBufferPointer(rebasing: scratch[..<ClusterTable.pageBytes]),
                at: offset + UInt64(slot * ClusterTable.pageBytes))
            isUsed = true
        }
        return isUsed
    }

    static func clusters(for entries: UInt64, perCluster: UInt64) -> UInt64 {
        max(1, (entries + perCluster - 1) / perCluster)
    }
}

/// The reference counts of a file whose every cluster is used once: blocks, then the table that points at them.
struct ReferenceCounts {
    /// Clusters of the file before the first block.
    let clustersBefore: UInt64
    let perBlock: UInt64
    let clusterSize: UInt64
    let blocks: UInt64
    let tableClusters: UInt64

    init(clustersBefore: UInt64, perBlock: UInt64, pointersPerCluster: UInt64, clusterSize: UInt64) {
        self.clustersBefore = clustersBefore
        self.perBlock = perBlock
        self.clusterSize = clusterSize
        // The counts count their own clusters too, so both numbers grow until they fit.
        var (blocks, table): (UInt64, UInt64) = (1, 1)
        while true {
            let total = clustersBefore + blocks + table
            let wantBlocks = (total + perBlock - 1) / perBlock
            let wantTable = (wantBlocks + pointersPerCluster - 1) / pointersPerCluster
            if wantBlocks <= blocks && wantTable <= table { break }
            (blocks, table) = (max(blocks, wantBlocks), max(table, wantTable))
        }
        self.blocks = blocks
        tableClusters = table
    }

    var totalClusters: UInt64 { clustersBefore + blocks + tableClusters }
    var tableOffset: UInt64 { (clustersBefore + blocks) * clusterSize }

    /// Writes blocks and table; `scratch` is one cluster.
    func write(to file: ImageFile, scratch: UnsafeMutableRawBufferPointer) throws {
        let ones = scratch.bindMemory(to: UInt16.self)
        ones.update(repeating: UInt16(1).bigEndian)
        for block in 0..<blocks {
            let used = min(perBlock, totalClusters - block * perBlock)
            try file.write(
                UnsafeRawBufferPointer(rebasing: scratch[..<Int(used * 2)]),
                at: (clustersBefore + block) * clusterSize)
        }
        let pointers = (0..<blocks).map { ((clustersBefore + $0) * clusterSize).bigEndian }
        try pointers.withUnsafeBytes { try file.write($0, at: tableOffset) }
    }
}
