internal import Glibc

/// Images that nobody uses, held so until this goes: QEMU's own lock keeps a VM from being started on them meanwhile.
final class UnusedImages: Sendable {
    private let descriptors: [Int32]

    /// Locks the images that are there; throws `busy` when a process has one of them open, and holds none then.
    init(_ paths: [String]) throws {
        var taken: [Int32] = []
        do {
            for path in paths {
                let descriptor = open(path, O_RDONLY | O_CLOEXEC)
                if descriptor < 0, errno == ENOENT { continue }
                guard descriptor >= 0 else {
                    throw ReplicationError.system("opening an image", path: path, errno: errno)
                }
                taken.append(descriptor)
                try ImageReadLock.takeUnused(descriptor, path: path)
            }
        } catch {
            for descriptor in taken { close(descriptor) }
            throw error
        }
        descriptors = taken
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
