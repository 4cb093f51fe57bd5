internal import Glibc

/// An open file that is read and written at offsets; closed when the last reference goes.
package final class ImageFile: Sendable {
    package let path: String
    private let descriptor: Int32

    /// Opens an existing file for reading.
    package init(reading path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ReplicationError.system("opening an image", path: path, errno: errno) }
    }

    /// Opens an existing file for reading and writing.
    package init(updating path: String) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw ReplicationError.system("opening an image", path: path, errno: errno) }
    }

    /// Creates a file that must not exist, readable by its owner alone: it holds a guest's data.
    package init(creating path: String) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ReplicationError.system("creating an image", path: path, errno: errno) }
    }

    deinit { close(descriptor) }

    /// Length in bytes.
    package func length() throws -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("reading the length of an image") }
        return UInt64(status.st_size)
    }

    /// Bytes that the file takes up on its file system; holes count nothing.
    package func allocatedBytes() throws -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("reading the size of an image") }
        return UInt64(status.st_blocks) * 512
    }

    /// Where data begins at or after an offset; nil when only a hole follows.
    package func nextData(from offset: UInt64) throws -> UInt64? {
        guard try offset < length() else { return nil }
        let found = lseek(descriptor, off_t(offset), linuxSeekData)
        if found >= 0 { return UInt64(found) }
        if errno == ENXIO { return nil }
        // A file system that knows no holes: all of it is data.
        guard errno == EINVAL || errno == EOPNOTSUPP else {
            throw failure("looking for data in an image", offset: offset)
        }
        return offset
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, base + done, bytes.count - done, off_t(offset) + off_t(done))
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("writing an image", offset: offset + UInt64(done))
            }
            done += count
        }
    }

    /// Fills `buffer` from `offset`; what lies behind the end of the file reads as zeros.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        guard let base = buffer.baseAddress else { return }
        var done = 0
        while done < buffer.count {
            let count = pread(descriptor, base + done, buffer.count - done, off_t(offset) + off_t(done))
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("reading an image", offset: offset + UInt64(done))
            }
            if count == 0 {
                memset(base + done, 0, buffer.count - done)
                return
            }
            done += count
        }
    }

    /// Makes a range read as zeros and gives its space back, where the file system can; writes zeros where it cannot.
    package func punchHole(at offset: UInt64, length: UInt64) throws {
        while linuxFallocate(descriptor, linuxPunchHole, off_t(offset), off_t(length)) != 0 {
            if errno == EINTR { continue }
            guard errno == EOPNOTSUPP || errno == ENOSYS else { throw failure("freeing a range", offset: offset) }
            return try writeZeros(at: offset, length: length)
        }
    }

    private func writeZeros(at offset: UInt64, length: UInt64) throws {
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { chunk.deallocate() }
        _ = chunk.initializeMemory(as: UInt8.self, repeating: 0)
        var done: UInt64 = 0
        while done < length {
            let count = min(UInt64(chunk.count), length - done)
            try write(UnsafeRawBufferPointer(rebasing: chunk[..<Int(count)]), at: offset + done)
            done += count
        }
    }

    /// Copies a range of another file to here, inside the kernel (and as shared blocks) where that is possible.
    ///
    /// `damaged` where the other file ends before the range does: nobody knows what stood there.
    package func copy(from source: ImageFile, at sourceOffset: UInt64, to offset: UInt64, length: UInt64) throws {
        var done: UInt64 = 0
        while done < length {
            var from = off_t(sourceOffset + done)
            var to = off_t(offset + done)
            let count = linuxCopyFileRange(source.descriptor, &from, descriptor, &to, Int(length - done), 0)
            if count < 0 {
                if errno == EINTR { continue }
                guard [EXDEV, EINVAL, EOPNOTSUPP, ENOSYS].contains(errno) else {
                    throw failure("copying a range", offset: offset + done)
                }
                return try copyThroughMemory(
                    from: source, at: sourceOffset + done, to: offset + done, length: length - done)
            }
            guard count > 0 else { throw source.endsEarly(at: sourceOffset + done) }
            done += UInt64(count)
        }
    }

    private func copyThroughMemory(
        from source: ImageFile, at sourceOffset: UInt64, to offset: UInt64, length: UInt64
    ) throws {
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { chunk.deallocate() }
        guard try sourceOffset + length <= source.length() else { throw source.endsEarly(at: try source.length()) }
        var done: UInt64 = 0
        while done < length {
            let part = UnsafeMutableRawBufferPointer(rebasing: chunk[..<Int(min(UInt64(chunk.count), length - done))])
            try source.read(into: part, at: sourceOffset + done)
            try write(UnsafeRawBufferPointer(part), at: offset + done)
            done += UInt64(part.count)
        }
    }

    /// Sets the length; what is added is a hole.
    package func truncate(to length: UInt64) throws {
        guard ftruncate(descriptor, off_t(length)) == 0 else { throw failure("setting the length of an image") }
    }

    /// Returns when all that was written is on stable storage.
    package func sync() throws {
        guard fsync(descriptor) == 0 else { throw failure("flushing an image") }
    }

    func endsEarly(at offset: UInt64) -> ReplicationError {
        ReplicationError(
            .damaged, "an image ends in the middle of what it is said to hold",
            hint:
                "a file system that was damaged or rolled back may have cut it: check it with qemu-img check; the points "
                + "above it need a resync",
            context: ["path": path, "offset": String(offset)])
    }

    private func failure(_ doing: String, offset: UInt64? = nil) -> ReplicationError {
        let number = errno
        let context = offset.map { ["offset": String($0)] } ?? [:]
        return .system(doing, path: path, errno: number, context: context)
    }
}
