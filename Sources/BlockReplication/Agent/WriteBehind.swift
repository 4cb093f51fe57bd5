import Foundation

/// Has what a receiver writes go to the disk while more comes in, so that its last flush has little left to do.
///
/// Confined to the receiver's thread. It makes nothing durable; the flush at the end does.
final class WriteBehind {
    /// Bytes that are written before the next are started on their way.
    private static let step = 16 << 20

    private let descriptor: Int32
    private var written = 0

    /// Opens the file a second time.
    init(_ path: String) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ReplicationError.system("opening an image", path: path, errno: errno) }
    }

    deinit { close(descriptor) }

    func wrote(_ bytes: Int) {
        written += bytes
        guard written >= Self.step else { return }
        written = 0
        // Where a file system cannot, the last flush does it all.
        _ = linuxSyncFileRange(descriptor, 0, 0, linuxStartWriting)
    }

    /// Returns when all that was written is on stable storage.
    func finish(_ path: String) throws {
        guard fsync(descriptor) == 0 else {
            throw ReplicationError.system("flushing an image", path: path, errno: errno)
        }
    }
}
