internal import Synchronization

/// Writes the data of a recovery point for one disk as a qcow2 overlay on the point before it.
///
/// Data goes to the file as it arrives, each cluster of 128 KiB behind the last one begun; what is not written stays a hole
/// there and falls through to the backing file. The tables follow in `finish()`, the header last: a file that was not
/// finished is no qcow2 file. Memory: `ClusterTable`.
package final class OverlayWriter: PointImageWriter {
    let file: ImageFile
    package let size: UInt64
    package var path: String { file.path }
    let sums: BlockSums?
    private let backing: BackingReference
    private let state: Mutex<State>

    private struct State {
        let table: ClusterTable
        /// The first cluster of the file that is free; the header has cluster 0.
        var nextCluster: UInt64 = 1
        var isUsable = true
    }

    /// Creates the file; `size` is the disk's and the backing file's is expected to be the same.
    ///
    /// `sums` is where checksums are kept of what is written.
    package convenience init(
        creating path: String, size: UInt64, backing: BackingReference, sums: String? = nil
    ) throws {
        try self.init(
            creating: path, size: size, backing: backing, sums: sums, pagesInMemory: ClusterTable.pagesInMemory)
    }

    /// As above, with so many pages of the table in memory.
    init(
        creating path: String, size: UInt64, backing: BackingReference, sums: String? = nil, pagesInMemory: Int
    ) throws {
        try BlockGrid.checkDisk(size: size)
        file = try ImageFile(creating: path)
        self.sums = try sums.map { try BlockSums(creating: $0, size: size) }
        self.size = size
        self.backing = backing
        state = Mutex(State(table: ClusterTable(size: size, beside: path, pagesInMemory: pagesInMemory)))
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
        try put(offset: offset, length: UInt64(bytes.count)) { done, length, place in
            let from = Int(done)
            try file.write(UnsafeRawBufferPointer(rebasing: bytes[from..<from + Int(length)]), at: place)
        }
        try failing { try sums?.note(bytes, at: offset) }
    }

    package func syncSums() throws { try sums?.sync() }

    package func zero(offset: UInt64, length: UInt64) throws {
        try BlockGrid.checkRange(offset: offset, length: length, size: size)
        try failing {
            let holes = try state.withLock { state in
                guard state.isUsable else { throw ImageWriterState.unusable(path) }
                return try Self.markZero(state.table, offset: offset, end: offset + length)
            }
            // Data that a later zero has replaced gives its space back.
            for hole in holes { try file.punchHole(at: hole.offset, length: hole.length) }
            if !holes.isEmpty { try sums?.clear(offset: offset, length: length) }
        }
    }

    package func finish() throws -> PointImageSummary {
        try failing {
            let extents = try state.withLock { state in
                guard state.isUsable else { throw ImageWriterState.unusable(path) }
                state.isUsable = false
                try OverlayTables(table: state.table, dataEnd: state.nextCluster, size: size)
                    .write(to: file, backing: backing)
                try sums?.sync()
                return try state.table.extents(size: size)
            }
            return PointImageSummary(allocatedBytes: try file.allocatedBytes(), extents: extents)
        }
    }

    package func abandon() {
        state.withLock { $0.isUsable = false }
        try? file.truncate(to: 0)
    }

    /// Places a range and hands each piece that is in one run in the file to `body`: bytes done before, length, place.
    private func put(
        offset: UInt64, length: UInt64, _ body: (_ done: UInt64, _ length: UInt64, _ place: UInt64) throws -> Void
    ) throws {
        try BlockGrid.checkRange(offset: offset, length: length, size: size)
        var done: UInt64 = 0
        while done < length {
            done += try failing {
                let run = try state.withLock { state in
                    guard state.isUsable else { throw ImageWriterState.unusable(path) }
                    return try Self.place(&state, offset: offset + done, end: offset + length)
                }
                try body(done, run.length, run.offset)
                return run.length
            }
        }
    }

    /// Marks the longest piece from `offset` that is in one run in the file as data, and says where it is.
    private static func place(_ state: inout State, offset: UInt64, end: UInt64) throws -> Extent {
        let clusterSize = OverlayLayout.clusterSize
        var at = offset
        var start: UInt64?
        while at < end {
            let entry = try state.table.entry(at >> OverlayLayout.clusterBits)
            let within = at & (clusterSize - 1)
            if entry[0] == 0 {
                // A new cluster joins the run only where the run ends at the end of the file.
                if let start, start + (at - offset) != state.nextCluster * clusterSize { break }
                entry[0] = state.nextCluster * clusterSize
                state.nextCluster += 1
            } else if let start, start + (at - offset) != entry[0] {
                break
            }
            if start == nil { start = entry[0] + within }
            let length = min(clusterSize - within, end - at)
            let mask = Self.mask(within: within, length: length)
            entry[1] = (entry[1] | mask) & ~(mask << 32)
            at += length
        }
        return Extent(offset: start ?? 0, length: at - offset)
    }

    /// Marks a range as zeros and returns the places in the file that held data for it.
    private static func markZero(_ table: ClusterTable, offset: UInt64, end: UInt64) throws -> [Extent] {
        var holes: [Extent] = []
        var at = offset
        while at < end {
            let entry = try table.entry(at >> OverlayLayout.clusterBits)
            let within = at & (OverlayLayout.clusterSize - 1)
            let length = min(OverlayLayout.clusterSize - within, end - at)
            let mask = Self.mask(within: within, length: length)
            SubclusterRuns.forEach(in: entry[1] & mask) { first, count in
                holes.append(
                    Extent(
                        offset: entry[0] + first << OverlayLayout.subclusterBits,
                        length: count << OverlayLayout.subclusterBits))
            }
            entry[1] = (entry[1] & ~mask) | mask << 32
            at += length
        }
        return holes
    }

    /// The low bits of the subclusters that a range touches in its cluster.
    private static func mask(within: UInt64, length: UInt64) -> UInt64 {
        let first = within >> OverlayLayout.subclusterBits
        let last = (within + length - 1) >> OverlayLayout.subclusterBits
        return OverlayLayout.mask(first: first, count: last - first + 1)
    }

    /// Runs `body`; when it throws, the writer takes nothing more, for the file no longer holds what was promised.
    private func failing<T>(_ body: () throws -> T) throws -> T {
        do { return try body() } catch {
            state.withLock { $0.isUsable = false }
            throw error
        }
    }
}
