/// Reads an overlay that `OverlayWriter` wrote, and refuses any other file.
package final class OverlayReader: Sendable {
    let file: ImageFile
    package let size: UInt64
    package let backing: BackingReference
    private let fileLength: UInt64
    /// Places of the L2 tables, 0 where there is none.
    let l1: [UInt64]

    /// Opens a finished overlay.
    ///
    /// Errors: `.unsupported` for other qcow2 files, `.damaged` for what cannot be right.
    package init(opening path: String) throws {
        let file = try ImageFile(reading: path)
        self.file = file
        let header = try Qcow2Header(reading: file)
        let length = try file.length()
        fileLength = length
        func refused(_ what: String) -> ReplicationError {
            ReplicationError(
                .unsupported, "this qcow2 file is not a recovery point's overlay: \(what)",
                hint: "only files that Perilune wrote as recovery points can be read and merged by it",
                context: ["path": path])
        }
        guard header.version == 3, header.incompatible == OverlayLayout.extendedL2,
            header.clusterBits == OverlayLayout.clusterBits
        else { throw refused("it does not have extended L2 entries with clusters of 128 KiB") }
        guard header.encryption == 0 else { throw refused("it is encrypted") }
        guard header.snapshots == 0, !header.hasBitmaps else { throw refused("it has snapshots or bitmaps inside") }
        guard let backing = header.backing else { throw refused("it names no backing file with its format") }
        self.backing = backing
        size = header.size
        try BlockGrid.checkDisk(size: size)
        let bytes = OverlayLayout.l1Entries(size: size) * 8
        guard header.l1Entries == bytes / 8, header.l1Offset % OverlayLayout.clusterSize == 0,
            header.l1Offset <= length, bytes <= length - header.l1Offset
        else { throw OverlayReader.damaged(path, "its L1 table is out of bounds") }
        var table = [UInt64](repeating: 0, count: Int(header.l1Entries))
        try table.withUnsafeMutableBytes { try file.read(into: $0, at: header.l1Offset) }
        l1 = try table.map { word in
            let place = UInt64(bigEndian: word) & OverlayLayout.offsetMask
            guard place % OverlayLayout.clusterSize == 0, place < length else {
                throw OverlayReader.damaged(path, "an L2 table is out of bounds")
            }
            return place
        }
    }

    /// What this overlay itself holds: data and zeros, without what falls through.
    package func extents() throws -> ExtentMap {
        var builder = ExtentBuilder(size: size)
        let table = L2Buffer()
        for index in l1.indices where l1[index] != 0 {
            try load(index, into: table)
            for slot in 0..<Int(OverlayLayout.entriesPerL2) where table.words[slot * 2 + 1] != 0 {
                builder.add(
                    cluster: UInt64(index) * OverlayLayout.entriesPerL2 + UInt64(slot),
                    bitmap: table.words[slot * 2 + 1])
            }
        }
        return builder.map
    }

    /// Reads a range that lies inside this overlay's extents; a range that falls through is refused.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        let length = UInt64(buffer.count)
        try BlockGrid.checkRange(offset: offset, length: length, size: size)
        let table = L2Buffer()
        var loaded = -1
        var done: UInt64 = 0
        while done < length {
            let at = offset + done
            let index = Int(at / OverlayLayout.bytesPerL2)
            if l1[index] == 0 { throw absent(at) }
            if index != loaded {
                try load(index, into: table)
                loaded = index
            }
            let slot = Int(at / OverlayLayout.clusterSize % OverlayLayout.entriesPerL2)
            let within = at & (OverlayLayout.clusterSize - 1)
            let bit = within >> OverlayLayout.subclusterBits
            let data = table.words[slot * 2 + 1] >> bit
            let zeros = data >> 32
            let run = max((~data & 0xFFFF_FFFF).trailingZeroBitCount, (~zeros & 0xFFFF_FFFF).trailingZeroBitCount)
            if (data | zeros) & 1 == 0 { throw absent(at) }
            let whole = min(UInt64(run), OverlayLayout.subclustersPerCluster - bit) << OverlayLayout.subclusterBits
            let count = min(whole, length - done)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[Int(done)..<Int(done + count)])
            if zeros & 1 == 1 {
                _ = part.initializeMemory(as: UInt8.self, repeating: 0)
            } else {
                try file.read(into: part, at: table.words[slot * 2] + within)
            }
            done += count
        }
    }

    /// Loads an L2 table in the machine's byte order, its host offsets bare, every entry checked.
    func load(_ index: Int, into table: L2Buffer) throws {
        guard l1[index] != 0 else { return table.clear() }
        try file.read(into: UnsafeMutableRawBufferPointer(table.words), at: l1[index])
        for slot in stride(from: 0, to: table.words.count, by: 2) {
            let entry = UInt64(bigEndian: table.words[slot])
            let bitmap = UInt64(bigEndian: table.words[slot + 1])
            table.words[slot] = entry & OverlayLayout.offsetMask
            table.words[slot + 1] = bitmap
            if entry == 0 && bitmap & 0xFFFF_FFFF == 0 { continue }
            let place = table.words[slot]
            guard entry & OverlayLayout.compressed == 0, place % OverlayLayout.clusterSize == 0,
                place != 0 || bitmap & 0xFFFF_FFFF == 0, place < fileLength, bitmap & bitmap >> 32 & 0xFFFF_FFFF == 0
            else { throw OverlayReader.damaged(file.path, "an L2 entry cannot be right") }
        }
    }

    private func absent(_ offset: UInt64) -> ReplicationError {
        ReplicationError(
            .invalidArgument, "the overlay holds nothing at \(offset)",
            hint: "read only inside the ranges that extents() names", context: ["path": file.path])
    }

    private static func damaged(_ path: String, _ what: String) -> ReplicationError {
        ReplicationError(
            .damaged, "an overlay is damaged: \(what)",
            hint: "check it with qemu-img check; the points above it need a new first copy", context: ["path": path])
    }
}

/// Room for one L2 table.
final class L2Buffer {
    let words: UnsafeMutableBufferPointer<UInt64>

    init() {
        words = .allocate(capacity: Int(OverlayLayout.clusterSize / 8))
        words.initialize(repeating: 0)
    }

    deinit { words.deallocate() }

    func clear() { words.update(repeating: 0) }
}
