internal import Foundation
internal import Glibc

/// What kind of file system a path lies on, as far as it matters to a vault.
///
/// WAL needs memory shared between all processes that have the file open, and locks that hold; between machines neither
/// is given, and the loss shows only in an outage.
enum FileSystemKind: Equatable {
    case local
    /// Shared with other machines; the name is the file system's type.
    case network(String)

    /// The kind of the file system that holds `path`, which must exist; nil when it cannot be told.
    static func probe(_ path: String) -> FileSystemKind? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        // By a handle: of a file without a size String takes the first page only, and later mounts would not be seen.
        guard let handle = FileHandle(forReadingAtPath: "/proc/self/mountinfo"), let data = try? handle.readToEnd()
        else { return nil }
        let mounts = String(decoding: data, as: UTF8.self)
        return kind(ofCanonical: String(cString: resolved), mounts: mounts)
    }

    /// The kind by the text of /proc/self/mountinfo (proc(5)): that of the mount with the longest path above `path`,
    /// the last one where several lie on one another.
    static func kind(ofCanonical path: String, mounts: String) -> FileSystemKind? {
        var best: (depth: Int, type: String)?
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { continue }
            let point = unescaped(fields[4])
            let prefix = point.hasSuffix("/") ? point : point + "/"
            guard path == point || path.hasPrefix(prefix), prefix.utf8.count >= best?.depth ?? 0 else { continue }
            best = (prefix.utf8.count, String(fields[dash + 1]))
        }
        return best.map { FileSystemTypes.isShared($0.type) ? .network($0.type) : .local }
    }

    /// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = field.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let code = UInt8(Substring(rest.prefix(3)), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

}

/// Types of file systems, in the kernel's words.
package enum FileSystemTypes {
    /// Whether several machines may have one of that type mounted at once.
    package static func isShared(_ type: String) -> Bool { shared.contains(type) }

    private static let shared: Set<String> = [
        "nfs", "nfs4", "cifs", "smbfs", "smb3", "9p", "afs", "coda", "ncpfs", "ceph", "lustre", "beegfs", "gpfs",
        "pvfs2",
        "gfs2", "ocfs2", "glusterfs", "vboxsf", "virtiofs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.s3fs", "fuse.rclone", "fuse.davfs", "fuse.smbnetfs", "fuse.curlftpfs", "fuse.mfs", "fuse.lizardfs",
        "fuse.moosefs", "fuse.juicefs", "fuse.gcsfuse", "fuse.vmhgfs-fuse", "fuse.goofys",
    ]
}
