import Glibc

/// Files of the machine that the engine runs on.
package enum LocalFiles {
    /// Whether a regular file may be run by this user.
    @Sendable
    package static func isExecutable(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }
}
