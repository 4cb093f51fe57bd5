import Foundation
import Glibc

/// Folders in which the host's QEMU puts what a pull backup needs: its sockets, and the scratch files that keep the
/// instant while the guest writes on.
enum ExportFolders {
    /// The user that Debian's libvirt runs QEMU as; where QEMU runs as root, as in the lab, it passes everywhere.
    private static let qemuUser = "libvirt-qemu"

    /// Makes them where they are missing, and empties them: after the loss of a whole host nobody else removes what its
    /// backups left, and libvirt begins none over an old scratch file.
    ///
    /// A QEMU that still has one open keeps it open.
    static func make(in store: String) throws {
        for folder in ["sockets", "scratch"].map({ "\(store)/\($0)" }) {
            try makeFolder(folder, rights: 0o700)
            try sweep(folder)
            guard let user = getpwnam(qemuUser)?.pointee, chown(folder, user.pw_uid, user.pw_gid) != 0 else { continue }
            throw ReplicationError.system("giving the folder to \(qemuUser)", path: folder, errno: errno)
        }
    }

    /// Removes the socket of an export that nobody serves any more, if it lies in the store's own folder.
    ///
    /// QEMU removes it when the backup ends, unless it was killed. For an export that was served: one that is being made refuses
    /// for a moment, too.
    static func removeSocket(_ path: String, in store: String) {
        guard path.hasPrefix("\(store)/sockets/"), !path.dropFirst(store.utf8.count).contains("/../") else { return }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard path.utf8.count < room.count else { return false }
            room.copyBytes(from: path.utf8)
            return true
        }
        guard fits else { return }
        let isRefused = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) != 0 && errno == ECONNREFUSED
            }
        }
        if isRefused { unlink(path) }
    }

    static func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private static func sweep(_ folder: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder)
        where name.hasSuffix(".scratch") || name.hasSuffix(".sock") {
            unlink("\(folder)/\(name)")
        }
    }
}
