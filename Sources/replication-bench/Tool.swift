import Foundation
import Glibc

/// Something that the bench needs and did not get.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What a process used up from its start to its end.
struct Usage: Sendable {
    var processorSeconds = 0.0
    var peakMebibytes = 0.0

    init() {}

    init(_ usage: rusage) {
        processorSeconds =
            Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        peakMebibytes = Double(usage.ru_maxrss) / 1024
    }
}

/// A program that the bench starts and ends by its process id.
final class Tool: @unchecked Sendable {  // used by one task at a time
    let identifier: pid_t
    private let words: [String]
    private let outputPath: String
    private var usage: Usage?
    private var status: Int32 = 0

    /// Why a program cannot be measured here; nil when it is installed.
    static func obstacle(_ programs: (name: String, package: String)...) -> String? {
        let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        let missing = programs.filter { entry in !folders.contains { access("\($0)/\(entry.name)", X_OK) == 0 } }
        if missing.isEmpty { return nil }
        return "not installed: \(missing.map(\.name).joined(separator: ", ")); apt-get install "
            + missing.map(\.package).joined(separator: " ")
    }

    /// Starts a program with its output in a file of the folder, and its input from one when it is given.
    init(_ words: [String], in folder: String, input: String = "/dev/null") throws {
        self.words = words
        outputPath = "\(folder)/output-\(UUID().uuidString.prefix(8))"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // A child's peak begins with its parent's, which `Workbench.warm` has made high.
        try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
        var vector = words.map { strdup($0) } + [nil]
        defer { for pointer in vector { free(pointer) } }
        var child: pid_t = 0
        let failure = posix_spawnp(&child, words[0], &actions, &attributes, &vector, environ)
        guard failure == 0 else { throw BenchError("\(words[0]): \(String(cString: strerror(failure)))") }
        identifier = child
    }

    /// Runs a program to its end; throws what it said when it fails.
    @discardableResult
    static func run(_ words: [String], in folder: String, input: String = "/dev/null") async throws -> (
        output: String, usage: Usage
    ) {
        let tool = try Tool(words, in: folder, input: input)
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                let usage = tool.wait()
                let output = tool.output()
                if tool.status == 0 {
                    continuation.resume(returning: (output, usage))
                } else {
                    // The last that it said; in one line, for it may stand in a table.
                    let said = output.split(whereSeparator: \.isNewline).suffix(2).joined(separator: "; ")
                    continuation.resume(throwing: BenchError("\(words[0]) failed: \(said.suffix(300))"))
                }
            }
        }
    }

    /// Waits until it takes connections at a Unix socket or at a port on loopback.
    func awaitListening(_ place: Place) async throws {
        let limit = ContinuousClock.now + .seconds(60)
        while !place.answers() {
            guard ContinuousClock.now < limit, kill(identifier, 0) == 0, !hasEnded else {
                throw BenchError("\(words[0]) does not listen: \(output().suffix(300))")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private var hasEnded: Bool {
        if usage != nil { return true }
        var (state, used) = (Int32(0), rusage())
        guard wait4(identifier, &state, WNOHANG, &used) == identifier else { return false }
        (status, usage) = (state, Usage(used))
        return true
    }

    /// Ends it and says what it used up; repeating this says the same.
    @discardableResult
    func end(_ signal: Int32 = SIGTERM) -> Usage {
        if usage == nil { kill(identifier, signal) }
        let usage = wait()
        unlink(outputPath)
        return usage
    }

    private func wait() -> Usage {
        if let usage { return usage }
        var (state, used) = (Int32(0), rusage())
        while wait4(identifier, &state, 0, &used) < 0, errno == EINTR {}
        status = state
        let result = Usage(used)
        usage = result
        return result
    }

    private func output() -> String {
        defer { if usage != nil { unlink(outputPath) } }
        return (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? ""
    }
}

/// Where a server listens.
enum Place: Sendable {
    case unix(String)
    case port(UInt16)

    /// Whether something takes connections there.
    func answers() -> Bool {
        guard let descriptor = try? connected() else { return false }
        close(descriptor)
        return true
    }

    /// A connection to it.
    func connected() throws -> Int32 {
        let isUnix = if case .unix = self { true } else { false }
        let family = isUnix ? AF_UNIX : AF_INET
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw BenchError("no socket can be made") }
        let result: Int32
        switch self {
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
            result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        case .port(let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw BenchError("nothing listens there")
        }
        return descriptor
    }

    /// A socket that listens on a port of loopback that was free.
    static func listening() throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw BenchError("no port on loopback is free") }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// A port that was free a moment ago, for a server that is told which to take.
    static func freePort() throws -> UInt16 {
        let (descriptor, port) = try listening()
        close(descriptor)
        return port
    }
}
