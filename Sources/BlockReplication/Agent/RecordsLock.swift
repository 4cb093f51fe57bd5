import Foundation

/// Keeps every other process out of a folder of a host's records while it lives: the agent, and what is run at the host.
///
/// flock(2) ends with the process that held it, so nothing is ever left locked by a death.
struct RecordsLock: ~Copyable {
    /// What a change of a record takes at most is a few writes: whoever waits longer waits for a disk that does not answer.
    static let patience = 10.0

    private let descriptor: CInt

    /// Waits for the lock; `busy` when it is not free within `patience` seconds.
    ///
    /// - Parameter records: what is kept in that folder, for the messages.
    init(_ path: String, of records: String = "ownership records", patience: Double = RecordsLock.patience) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw ReplicationError.system("opening the lock of the \(records)", path: path, errno: errno)
        }
        var waited = 0.0
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            guard code == EWOULDBLOCK || code == EINTR else {
                throw ReplicationError.system("locking the \(records)", path: path, errno: code)
            }
            guard waited < patience else {
                throw ReplicationError(
                    .busy, "another process has been changing this host's \(records) for \(Int(patience)) s",
                    hint: "wait for the agent or the command that does, or end it; see: fuser \(path)",
                    context: ["path": path])
            }
            usleep(5000)
            waited += 0.005
        }
    }

    deinit {
        // Closing alone leaves it locked while a program that is just being started holds a copy of the descriptor.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
