internal import Glibc

/// Which file a name stands for, whatever else is called so later.
package struct FileMark: Hashable, Sendable {
    private let device: dev_t
    private let number: ino_t

    /// Nil when there is no such file.
    package init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (device, number) = (status.st_dev, status.st_ino)
    }
}
