internal import Synchronization

/// Writes the first copy of a disk: a raw sparse file, holes where the disk reads as zeros.
package final class RawBaseWriter: PointImageWriter {
    private let file: ImageFile
    package let size: UInt64
    package var path: String { file.path }
    private let isUsable = Mutex(true)
    /// What lies below stays when the writer gives up.
    private let kept: Mutex<UInt64>
    let sums: BlockSums?
    /// Up to where what is written replaces what counts, and what is done before it first is.
    private let frontier: UInt64
    private let onOverwriting: Mutex<(@Sendable () throws -> Void)?>

    /// Creates the file at its full size, all of it a hole; `sums` is where checksums are kept of what is written.
    package init(creating path: String, size: UInt64, sums: String? = nil) throws {
        try BlockGrid.checkDisk(size: size)
        file = try ImageFile(creating: path)
        self.size = size
        kept = Mutex(0)
        self.sums = try sums.map { try BlockSums(creating: $0, size: size) }
        frontier = 0
        onOverwriting = Mutex(nil)
        try file.truncate(to: size)
    }

    /// Goes on with a file that was begun earlier: what lies below `frontier` stays, the rest becomes a hole.
    ///
    /// Somebody may have written there and not got to the end: nothing is known of it. `onOverwriting` is called once, before
    /// anything is written below the frontier.
    package init(
        continuing path: String, size: UInt64, frontier: UInt64, sums: String? = nil,
        onOverwriting: @escaping @Sendable () throws -> Void = {}
    ) throws {
        try BlockGrid.checkDisk(size: size)
        file = try ImageFile(updating: path)
        self.size = size
        kept = Mutex(frontier)
        self.sums = try sums.map { try BlockSums(updating: $0, size: size) }
        self.frontier = frontier
        self.onOverwriting = Mutex(onOverwriting)
        try dropBeyond(frontier)
    }

    /// From now on, what lies below `frontier` stays when the writer gives up.
    package func keep(below frontier: UInt64) { kept.withLock { $0 = frontier } }

    private func dropBeyond(_ frontier: UInt64) throws {
        try file.truncate(to: frontier)
        try file.truncate(to: size)
        try sums?.dropBeyond(frontier)
    }

    /// Makes the checksums of a range anew, of what the file holds there.
    ///
    /// For what was found equal to the source: a leg that was cut short may have written there and not kept the checksums.
    func renewSums(offset: UInt64, length: UInt64) throws {
        guard let sums else { return }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { room.deallocate() }
        var done: UInt64 = 0
        while done < length {
            let part = UnsafeMutableRawBufferPointer(rebasing: room[..<Int(min(UInt64(room.count), length - done))])
            try file.read(into: part, at: offset + done)
            try sums.note(UnsafeRawBufferPointer(part), at: offset + done)
            done += UInt64(part.count)
        }
    }

    package func syncSums() throws { try sums?.sync() }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
        try BlockGrid.checkRange(offset: offset, length: UInt64(bytes.count), size: size)
        try guarded {
            try announce(offset)
            try sums?.note(bytes, at: offset)
            try file.write(bytes, at: offset)
        }
    }

    package func zero(offset: UInt64, length: UInt64) throws {
        try BlockGrid.checkRange(offset: offset, length: length, size: size)
        guard length > 0 else { return }
        try guarded {
            try announce(offset)
            try file.punchHole(at: offset, length: length)
            try sums?.clear(offset: offset, length: length)
        }
    }

    private func announce(_ offset: UInt64) throws {
        guard offset < frontier else { return }
        try onOverwriting.withLock { announcement in
            try announcement?()
            announcement = nil
        }
    }

    /// Flushes; the extents are the whole disk, since a first copy speaks for every block.
    package func finish() throws -> PointImageSummary {
        try guarded {
            try file.sync()
            try sums?.sync()
        }
        isUsable.withLock { $0 = false }
        return PointImageSummary(allocatedBytes: try file.allocatedBytes(), extents: .whole(size))
    }

    package func abandon() {
        isUsable.withLock { $0 = false }
        let frontier = kept.withLock { $0 }
        if frontier == 0 {
            try? file.truncate(to: 0)
            try? sums?.dropBeyond(0)
        } else {
            try? dropBeyond(frontier)
        }
    }

    private func guarded(_ body: () throws -> Void) throws {
        guard isUsable.withLock({ $0 }) else { throw ImageWriterState.unusable(path) }
        do { try body() } catch {
            isUsable.withLock { $0 = false }
            throw error
        }
    }
}

/// Errors that the writers share.
enum ImageWriterState {
    static func unusable(_ path: String) -> ReplicationError {
        ReplicationError(
            .invalidArgument, "an image was written to after it was finished or had failed",
            hint: "abandon the draft and begin the cycle again", context: ["path": path])
    }
}
