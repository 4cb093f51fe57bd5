import Foundation
import Synchronization

/// Makes sure that one agent alone serves a control socket, and that it lies where nobody else can put one.
final class ControlSocketLock: Sendable {
    private let path: String
    private let descriptor: Mutex<Int32>

    /// Checks the folder, takes the lock beside the socket, and removes a socket that nobody serves any more.
    init(_ path: String) throws {
        guard path.hasPrefix("/") else {
            throw ReplicationError(
                .invalidArgument, "the control socket \(path) is no absolute path", hint: "give the socket's whole path"
            )
        }
        self.path = path
        try Self.checkFolder((path as NSString).deletingLastPathComponent)
        let lockPath = path + ".lock"
        let file = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw ReplicationError.system("making the agent's lock", path: lockPath, errno: errno) }
        do {
            guard flock(file, LOCK_EX | LOCK_NB) == 0 else { throw Self.served(path) }
            try Self.removeStale(path)
        } catch {
            close(file)
            throw error
        }
        descriptor = Mutex(file)
    }

    deinit { release() }

    /// Removes the socket and gives the lock back.
    ///
    /// Repeating it does nothing.
    func release() {
        descriptor.withLock { descriptor in
            guard descriptor >= 0 else { return }
            unlink(path)
            // A helper that is just being started may still hold a copy of the descriptor.
            flock(descriptor, LOCK_UN)
            close(descriptor)
            descriptor = -1
        }
    }

    /// Whether the process at the other end belongs to our user or to root.
    static func mayAsk(_ socket: Int32) -> Bool {
        // Linux's struct ucred: process, user, group.
        var peer: (pid: pid_t, user: uid_t, group: gid_t) = (0, uid_t.max, gid_t.max)
        var length = socklen_t(MemoryLayout.size(ofValue: peer))
        guard getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 else { return false }
        return peer.user == 0 || peer.user == geteuid()
    }

    private static func checkFolder(_ folder: String) throws {
        var status = stat()
        if stat(folder, &status) != 0 {
            try makeFolder(folder)
            return
        }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_mode & 0o002 == 0 else {
            throw ReplicationError(
                .invalidArgument, "everybody may write in \(folder), where the control socket shall be",
                hint: "give a socket in a folder that only the agent's user can write", context: ["path": folder])
        }
    }

    /// A socket that somebody answers on is not ours to remove.
    private static func removeStale(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw ReplicationError(
                .invalidArgument, "\(path) is no socket", hint: "give another control socket", context: ["path": path])
        }
        let probe = try? StreamSocket.connect(
            to: try SocketAddress(path), interrupt: try Interrupt(), timeoutSeconds: 2)
        if probe != nil { throw served(path) }
        unlink(path)
    }

    private static func served(_ path: String) -> ReplicationError {
        ReplicationError(
            .busy, "an agent serves \(path) already", hint: "stop it first, or use it", context: ["path": path])
    }
}
