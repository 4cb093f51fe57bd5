import Foundation
package import Glibc
import Synchronization

/// A program that a test starts.
///
/// Tests of one target run all at once, with more than a thousand files open among them. Foundation's `Process` lists those
/// before it starts a program, and reads past the end of the list's buffer when it is that long.
package final class Program: Sendable {
    /// What a program said, and how it ended.
    package struct Result: Sendable {
        /// The exit status; 128 and its number when a signal ended it.
        package var status: Int32
        package var output: String
        package var errors: String
    }

    package let processIdentifier: pid_t
    private let files: (output: Int32, errors: Int32)
    private let ending = Mutex<Int32?>(nil)

    /// Starts a program, found in PATH by its first word, with no signal blocked or ignored and with empty input.
    ///
    /// - Parameter folder: where it runs; here when nil.
    package init(_ words: [String], in folder: String? = nil) throws {
        files = (try Self.scratch(), try Self.scratch())
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, files.output, 1)
        posix_spawn_file_actions_adddup2(&actions, files.errors, 2)
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let words = folder.map { ["env", "--chdir=\($0)"] + words } ?? words
        var vector = words.map { strdup($0) } + [nil]
        defer { for pointer in vector { free(pointer) } }
        var child: pid_t = 0
        let failure = posix_spawnp(&child, words[0], &actions, &attributes, &vector, environ)
        processIdentifier = child
        guard failure == 0 else { throw ProgramFailed(words: words, said: String(cString: strerror(failure))) }
    }

    deinit {
        close(files.output)
        close(files.errors)
    }

    /// Runs a program to its end.
    package static func run(_ words: [String], in folder: String? = nil) throws -> Result {
        try Program(words, in: folder).result()
    }

    /// Runs a program to its end on a thread of its own, so that it may talk with what runs on Swift's pool.
    package static func result(of words: [String], in folder: String? = nil) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Swift.Result { try run(words, in: folder) }) }
        }
    }

    /// Waits for its end.
    package func result() -> Result {
        let status = wait()
        return Result(status: status, output: Self.text(files.output), errors: Self.text(files.errors))
    }

    package var isRunning: Bool { ending.withLock { !reap(WNOHANG, &$0) } }

    /// Waits for its end; the exit status, or 128 and the number of the signal that ended it.
    @discardableResult
    package func wait() -> Int32 {
        ending.withLock { ending in
            _ = reap(0, &ending)
            let status = ending ?? 0
            return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
        }
    }

    package func signal(_ number: Int32) {
        // One that has ended may have given its number to another.
        ending.withLock { ending in
            if !reap(WNOHANG, &ending) { kill(processIdentifier, number) }
        }
    }

    /// Ends it, in good order unless another signal is given, and waits for it; repeating this does nothing.
    package func end(_ number: Int32 = SIGTERM) {
        signal(number)
        wait()
    }

    private func reap(_ options: Int32, _ ending: inout Int32?) -> Bool {
        if ending != nil { return true }
        var status: Int32 = 0
        while true {
            let reaped = waitpid(processIdentifier, &status, options)
            if reaped == processIdentifier {
                ending = status
                return true
            }
            if reaped == 0 { return false }
            precondition(errno == EINTR, "nobody else waits for this process")
        }
    }

    /// A file without a name, which a program may fill while nobody reads it.
    private static func scratch() throws -> Int32 {
        let path = "/tmp/perilune-said-\(UUID().uuidString)"
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        unlink(path)
        return file
    }

    private static func text(_ file: Int32) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = pread(file, &buffer, buffer.count, off_t(bytes.count))
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer.prefix(count)
        }
    }
}

/// A program that could not be started, or did not do what the test needs of it.
package struct ProgramFailed: Error, CustomStringConvertible {
    package let words: [String]
    package let said: String

    package init(words: [String], said: String) {
        self.words = words
        self.said = said
    }

    package var description: String { "\(words.joined(separator: " ")) failed: \(said)" }
}
