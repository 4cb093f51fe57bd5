import Foundation

// One thread uses a source at a time; `descriptor` is guarded by `lock`.

/// Reads a raw image file that nobody writes, with pread(2); holes are zeros without being read.
final class FileSource: ExtentSource, @unchecked Sendable {
    /// Bytes that the kernel is asked to read before they are wanted.
    private static let readAhead: UInt64 = 8 << 20

    let size: UInt64
    private let path: String
    private let interrupt: Interrupt
    private let lock = NSLock()
    private var descriptor: Int32

    /// Opens the image and holds QEMU's own lock against writers while it is open.
    init(path: String, interrupt: Interrupt) throws {
        self.path = path
        self.interrupt = interrupt
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ReplicationError.system("opening an image", path: path, errno: errno) }
        do {
            let end = lseek(descriptor, 0, SEEK_END)
            guard end >= 0 else { throw ReplicationError.system("sizing an image", path: path, errno: errno) }
            size = UInt64(end)
            try ImageReadLock.take(descriptor, path: path)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    deinit { close() }

    func close() {
        lock.withLock {
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }

    func allocation(of ranges: ExtentMap) throws -> ExtentMap {
        var result = ExtentMap()
        for range in ranges {
            var offset = range.offset
            while offset < range.end {
                try interrupt.check()
                let data = try seek(offset, SEEK_DATA) ?? size
                if data > offset {
                    let to = min(data, range.end)
                    result.insert(Extent(offset: offset, length: to - offset, isZero: true))
                    offset = to
                } else {
                    let hole = min(try seek(offset, SEEK_HOLE) ?? size, range.end)
                    result.insert(Extent(offset: offset, length: hole - offset))
                    offset = hole
                }
            }
        }
        return result
    }

    func changes(bitmap: String) throws -> ExtentMap {
        throw ReplicationError.noBitmap(bitmap, "a raw image keeps none")
    }

    func read(_ extents: ExtentMap, pool: BufferPool, deliver: (FilledBuffer) throws -> Void) throws {
        var ranges = RequestIterator(extents)
        var ahead = RequestIterator(extents)
        var asked: UInt64 = 0
        while let range = ranges.next() {
            // Many requests are in the disk's queue, where one at a time would wait for each.
            while asked < range.offset + Self.readAhead, let next = ahead.next() {
                asked = next.offset + next.length
                posix_fadvise(descriptor, off_t(next.offset), off_t(next.length), POSIX_FADV_WILLNEED)
            }
            let buffer = try pool.take(interrupt)
            do {
                try fill(buffer, range)
            } catch {
                pool.giveBack(buffer)
                throw error
            }
            try deliver(FilledBuffer(buffer: buffer, offset: range.offset, count: Int(range.length)))
        }
    }

    private func fill(_ buffer: PoolBuffer, _ range: ByteRange) throws {
        var done = 0
        while done < Int(range.length) {
            let count = pread(descriptor, buffer.base + done, Int(range.length) - done, off_t(range.offset) + done)
            if count > 0 {
                done += count
            } else if count == 0 {
                throw ReplicationError(
                    .damaged, "the image ends before its size", hint: "let nothing write the image while it is read",
                    context: ["path": path])
            } else if errno != EINTR {
                throw ReplicationError.system("reading an image", path: path, errno: errno)
            }
        }
    }

    /// Position of the next data or hole; nil behind the last data.
    private func seek(_ offset: UInt64, _ whence: Int32) throws -> UInt64? {
        let position = lseek(descriptor, off_t(offset), whence)
        if position >= 0 { return UInt64(position) }
        if errno == ENXIO { return nil }
        throw ReplicationError.system("looking for data in an image", path: path, errno: errno)
    }

    // Values of Linux's <unistd.h>, which the module map leaves out.
    private var SEEK_DATA: Int32 { 3 }
    private var SEEK_HOLE: Int32 { 4 }
}

/// QEMU's image locks, taken by a reader that shares the image with readers only.
///
/// QEMU locks byte 100 + n for a permission that it holds and byte 200 + n for one that it does not share
/// (block/file-posix.c); n is 0 for reading, 1 for writing.
enum ImageReadLock {
    private static let writePermission: Int64 = 101
    private static let readPermission: Int64 = 100
    private static let noWriters: Int64 = 201
    private static let noReaders: Int64 = 200
    // Linux's open file description locks, which the module map leaves out.
    private static let getLock: Int32 = 36
    private static let setLock: Int32 = 37

    /// Throws `busy` when something has the image open for writing; the lock goes with the descriptor.
    static func take(_ descriptor: Int32, path: String) throws {
        for byte in [readPermission, noWriters] {
            var request = lock(byte, type: F_RDLCK)
            guard fcntl(descriptor, setLock, &request) == 0 else {
                throw ReplicationError.system("locking an image", path: path, errno: errno)
            }
        }
        var question = lock(writePermission, type: F_WRLCK)
        guard fcntl(descriptor, getLock, &question) == 0 else {
            throw ReplicationError.system("asking for an image's locks", path: path, errno: errno)
        }
        guard question.l_type == Int16(F_UNLCK) else { throw ReplicationError.imageInUse(path) }
    }

    /// As `take`, and throws `busy` also when a QEMU reads the image: for one that shall be removed.
    static func takeUnused(_ descriptor: Int32, path: String) throws {
        try take(descriptor, path: path)
        // Our own locks are on this descriptor, and never in our own way.
        var question = lock(readPermission, type: F_WRLCK)
        guard fcntl(descriptor, getLock, &question) == 0 else {
            throw ReplicationError.system("asking for an image's locks", path: path, errno: errno)
        }
        guard question.l_type == Int16(F_UNLCK) else { throw ReplicationError.imageInUse(path) }
    }

    /// As `takeUnused`, and keeps every QEMU from opening the image meanwhile: for one that is written in place.
    static func takeToWrite(_ descriptor: Int32, path: String) throws {
        try takeUnused(descriptor, path: path)
        for byte in [writePermission, noReaders] {
            var request = lock(byte, type: F_RDLCK)
            guard fcntl(descriptor, setLock, &request) == 0 else {
                throw ReplicationError.system("locking an image", path: path, errno: errno)
            }
        }
    }

    /// Gives all locks of this descriptor back at once.
    ///
    /// Closing it alone leaves them for as long as a process that is being started has a copy of it.
    static func release(_ descriptor: Int32) {
        for byte in [readPermission, writePermission, noReaders, noWriters] {
            var request = lock(byte, type: F_UNLCK)
            _ = fcntl(descriptor, setLock, &request)
        }
    }

    private static func lock(_ byte: Int64, type: Int32) -> flock {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(byte)
        lock.l_len = 1
        return lock
    }
}

extension ReplicationError {
    /// A process, most likely a running VM, has the image open for writing.
    static func imageInUse(_ path: String) -> ReplicationError {
        ReplicationError(
            .busy, "the image \(path) is open for writing elsewhere",
            hint: "stop the VM that writes it, or read it through the VM's backup export", context: ["path": path])
    }
}
