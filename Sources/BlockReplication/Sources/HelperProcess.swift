import Foundation

/// A helper program that runs beside us: started from an argument vector, and ended by its process id.
final class HelperProcess: @unchecked Sendable {  // `identifier` and `status` are guarded by `lock`
    private let lock = NSLock()
    private var identifier: pid_t
    private var status: Int32?

    /// Starts a program found in PATH; input is empty, and both outputs go to the file at `outputPath`.
    init(_ arguments: [String], outputPath: String) throws {
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The child starts with no signal blocked or ignored, whatever the agent does with its own; and in a group of
        // its own, so that a terminal's interrupt reaches the agent alone.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        var vector: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for pointer in vector { free(pointer) } }
        var child: pid_t = 0
        let result = posix_spawnp(&child, arguments[0], &actions, &attributes, &vector, environ)
        guard result == 0 else {
            throw ReplicationError(
                .toolFailed, "\(arguments[0]) cannot be started: \(String(cString: strerror(result)))",
                hint: "install the package that holds it (qemu-utils), or put it in PATH",
                context: ["errno": String(result)])
        }
        identifier = child
    }

    deinit { end() }

    /// Whether the process has ended by itself.
    var hasEnded: Bool {
        lock.withLock { reap(WNOHANG) }
    }

    /// Ends the process for certain and reaps it: asks first, and insists after two seconds.
    ///
    /// Repeating it does nothing.
    func end(_ signal: Int32 = SIGTERM) {
        lock.withLock {
            if reap(WNOHANG) { return }
            kill(identifier, signal)
            let limit = ContinuousClock.now + .seconds(2)
            while ContinuousClock.now < limit {
                if reap(WNOHANG) { return }
                usleep(2000)
            }
            kill(identifier, SIGKILL)
            _ = reap(0)
        }
    }

    private func reap(_ options: Int32) -> Bool {
        if status != nil { return true }
        var result: Int32 = 0
        while true {
            let reaped = waitpid(identifier, &result, options)
            if reaped == identifier || (reaped < 0 && errno == ECHILD) {
                status = result
                return true
            }
            if reaped == 0 { return false }
        }
    }
}
