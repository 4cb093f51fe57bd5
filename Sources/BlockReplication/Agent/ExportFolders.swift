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

    private static func sweep(_ folder: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder)
        where name.hasSuffix(".scratch") || name.hasSuffix(".sock") {
            unlink("\(folder)/\(name)")
        }
    }
}
