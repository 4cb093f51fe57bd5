/// Receives the content of one disk of a recovery point that is being made.
///
/// Writes may come in any order, may overlap (the later one holds) and may come from several threads, as long as two calls
/// that are under way at the same time do not overlap. Offsets are multiples of 4096 and so are lengths, except that a range
/// may end at the end of the disk, which is a multiple of 512. After a call has thrown, `finish()` refuses.
package protocol PointImageWriter: AnyObject, Sendable {
    /// The file being written: a temporary name ending in `.part`.
    var path: String { get }
    /// Size of the disk in bytes.
    var size: UInt64 { get }
    /// Takes bytes to stand at `offset`; they are in the file, not yet flushed, when the call returns.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws
    /// Takes note that a range reads as zeros.
    func zero(offset: UInt64, length: UInt64) throws
    /// Puts the checksums that are kept of what was written on stable storage.
    func syncSums() throws
    /// Writes what is missing and flushes; nothing may be written after it. The caller renames the file.
    func finish() throws -> PointImageSummary
    /// Gives up: takes nothing more, and gives the file's space back even while somebody holds the writer.
    func abandon()
}

/// What a finished image of a point holds.
package struct PointImageSummary: Sendable, Equatable {
    /// Bytes on the file system, without holes.
    package let allocatedBytes: UInt64
    /// The ranges of the disk for which this image says something, in whole 4 KiB blocks.
    package let extents: ExtentMap
}

/// The grid on which changes are stored, and its checks.
enum BlockGrid {
    static let block: UInt64 = 4096
    static let sector: UInt64 = 512
    /// Far above any real disk, and small enough that no product of offsets overflows.
    static let maximumDisk: UInt64 = 1 << 50

    static func checkDisk(size: UInt64) throws {
        guard size > 0, size % sector == 0, size <= maximumDisk else {
            throw ReplicationError(
                .invalidArgument, "a disk of \(size) bytes cannot be replicated",
                hint: "the size is a multiple of 512, above 0 and at most 1 PiB")
        }
    }

    static func checkRange(offset: UInt64, length: UInt64, size: UInt64) throws {
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow, end <= size, offset % block == 0, end % block == 0 || end == size else {
            throw ReplicationError(
                .invalidArgument, "the range \(offset)+\(length) does not fit a disk of \(size) bytes",
                hint: "ranges begin and end at multiples of 4096 or at the end of the disk")
        }
    }
}
