import Foundation
import Glibc

/// A process of a site that outlives the command that starts it.
struct Daemon: Sendable {
    let name: String
    let layout: SiteLayout

    var recordFile: String { "\(layout.processes)/\(name)" }
    var log: String { "\(layout.logs)/\(name).log" }

    /// The running process, or nil.
    var running: ProcessRecord? {
        guard let record = ProcessRecord(file: recordFile), record.isRunning else { return nil }
        return record
    }

    /// Leaves a record of the process it is about to become, so the record is there before the program is.
    ///
    /// Its data are arguments; the text is the same always.
    private static let launcher = """
        record=$1 log=$2; shift 2; cd /
        exec </dev/null >>"$log" 2>&1
        cat /proc/sys/kernel/random/boot_id /proc/$$/stat >"$record.new" && mv "$record.new" "$record" && exec "$@"
        """

    /// Starts a program in a session of its own, through `entry`: the words that bring it into a namespace.
    ///
    /// - Returns: The record of the process, which runs or has already ended.
    @discardableResult
    func start(_ program: [String], through entry: [String]) async throws(LabError) -> ProcessRecord {
        unlink(recordFile)
        let launch = ["sh", "-c", Self.launcher, name, recordFile, log]
        try await Command(["setsid", "--fork"] + entry + launch + program).output()
        var record: ProcessRecord?
        try await wait(for: "The start of \(name) at site \(layout.name.rawValue)", within: .seconds(10)) {
            record = ProcessRecord(file: recordFile)
            return record != nil
        }
        guard let record else { throw LabError(.notFound, "\(name) left no record of itself.", hint: "see \(log)") }
        return record
    }

    /// Waits until the process accepts connections at a Unix socket.
    ///
    /// - Throws: `commandFailed` with the end of its log when it has ended instead.
    func waitUntilAnswering(at socket: String) async throws(LabError) {
        try await wait(for: "An answer of \(name) at \(socket)", within: .seconds(30), hint: "see \(log)") {
            () throws(LabError) in
            if UnixSocket.answers(at: socket) { return true }
            if running != nil { return false }
            throw LabError(
                .commandFailed, "\(name) of site \(layout.name.rawValue) ended at once: \(endOfLog)", hint: "see \(log)"
            )
        }
    }

    private var endOfLog: String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(3).joined(separator: "; ")
    }
}

/// Unix sockets, looked at from outside.
enum UnixSocket {
    /// Whether something listens at a path.
    static func answers(at path: String) -> Bool {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard path.utf8.count < room.count else { return false }
            room.copyBytes(from: path.utf8)
            return true
        }
        guard fits else { return false }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
