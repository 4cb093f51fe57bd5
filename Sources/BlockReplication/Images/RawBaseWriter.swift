internal import Synchronization

/// Writes the first copy of a disk: a raw sparse file, holes where the disk reads as zeros.
package final class RawBaseWriter: PointImageWriter {
    private let file: ImageFile
    package let size: UInt64
    package var path: String { file.path }
    private let isUsable = Mutex(true)

    /// Creates the file at its full size, all of it a hole.
    package init(creating path: String, size: UInt64) throws {
        try BlockGrid.checkDisk(size: size)
        file = try ImageFile(creating: path)
        self.size = size
        try file.truncate(to: size)
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
        try BlockGrid.checkRange(offset: offset, length: UInt64(bytes.count), size: size)
        try guarded { try file.write(bytes, at: offset) }
    }

    package func zero(offset: UInt64, length: UInt64) throws {
        try BlockGrid.checkRange(offset: offset, length: length, size: size)
        guard length > 0 else { return }
        try guarded { try file.punchHole(at: offset, length: length) }
    }

    /// Flushes; the extents are the whole disk, since a first copy speaks for every block.
    package func finish() throws -> PointImageSummary {
        try guarded { try file.sync() }
        isUsable.withLock { $0 = false }
        return PointImageSummary(allocatedBytes: try file.allocatedBytes(), extents: .whole(size))
    }

    package func abandon() {
        isUsable.withLock { $0 = false }
        try? file.truncate(to: 0)
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
