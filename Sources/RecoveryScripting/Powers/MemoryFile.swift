import Glibc

/// A file that lies in memory alone: what a program reads as its standard input.
///
/// Unlike a pipe it needs nobody who feeds it, and a program that does not read cannot hold its writer up. Unlike a file
/// on disk it leaves nothing behind that somebody else could read.
final class MemoryFile: Sendable {
    let descriptor: Int32

    /// Makes a file of these bytes, to be read from the beginning.
    ///
    /// - Throws: `ProgramFailure.cannotStart` when memory or descriptors are used up.
    init(_ bytes: [UInt8]) throws(ProgramFailure) {
        descriptor = linuxMemoryFile("perilune", linuxCloseOnExecution)
        guard descriptor >= 0 else { throw .cannotStart(lastSystemError()) }
        guard writeAll(bytes, to: descriptor), lseek(descriptor, 0, SEEK_SET) == 0 else {
            let reason = lastSystemError()
            close(descriptor)
            throw .cannotStart(reason)
        }
    }

    deinit { close(descriptor) }

    /// A path under which a child process of the same user can open it, as long as this object lives.
    var path: String { "/proc/\(getpid())/fd/\(descriptor)" }
}

/// memfd_create(2), which glibc declares only for _GNU_SOURCE.
@_silgen_name("memfd_create")
private func linuxMemoryFile(_ name: UnsafePointer<CChar>, _ flags: UInt32) -> Int32

/// MFD_CLOEXEC of linux/memfd.h.
private let linuxCloseOnExecution: UInt32 = 1

/// Writes all bytes; false when the system refuses, and then `errno` says why.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { buffer in
        var written = 0
        while written < buffer.count {
            let count = write(descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            written += count
        }
        return true
    }
}

/// What `errno` says, in words.
func lastSystemError() -> String { String(cString: strerror(errno)) }
