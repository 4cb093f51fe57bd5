import Foundation
import Glibc

/// What a lab needs of the machine.
enum Requirements {
    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Programs and the Debian packages that bring them.
    private static let programs: [(program: String, package: String)] = [
        ("ip", "iproute2"), ("nsenter", "util-linux"), ("unshare", "util-linux"), ("setsid", "util-linux"),
        ("losetup", "util-linux"), ("mkfs.ext4", "e2fsprogs"), ("libvirtd", "libvirt-daemon"),
        ("virsh", "libvirt-clients"), ("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils"),
        ("curl", "curl"),
    ]

    /// Throws a clear error when the machine or the caller lacks something.
    static func check() throws(LabError) {
        try checkRights()
        let directories = path.split(separator: ":")
        let missing = programs.filter { entry in
            !directories.contains { access("\($0)/\(entry.program)", X_OK) == 0 }
        }
        if !missing.isEmpty {
            let packages = Set(missing.map(\.package)).sorted().joined(separator: " ")
            throw LabError(
                .missing, "Not installed: \(missing.map(\.program).joined(separator: ", ")).",
                hint: "run scripts/setup, or apt-get install \(packages)")
        }
        guard access("/dev/loop-control", R_OK | W_OK) == 0 else {
            throw LabError(
                .missing, "This machine has no loop devices (/dev/loop-control).",
                hint: "modprobe loop, or start the container with loop devices")
        }
        guard access("/proc/self/ns/net", F_OK) == 0, access("/proc/self/ns/mnt", F_OK) == 0 else {
            throw LabError(
                .missing, "This kernel has no network or mount namespaces.", hint: "a kernel with CONFIG_NAMESPACES")
        }
    }

    /// Throws unless the caller is root: mounts and namespaces need it.
    static func checkRights() throws(LabError) {
        guard geteuid() == 0 else {
            throw LabError(
                .notPermitted, "The lab needs root: it mounts file systems and makes namespaces.",
                hint: "run the command with sudo")
        }
    }
}
