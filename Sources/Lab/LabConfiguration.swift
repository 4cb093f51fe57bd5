import Foundation

/// Where a lab lies and what it is made of.
package struct LabConfiguration: Sendable, Hashable {
    /// The root directory of a lab that was given none.
    package static let defaultRoot = "/var/lib/perilune-lab"
    /// Where `lab/guest/build` leaves the guests' kernel and initramfs.
    package static let defaultGuestFiles = "/var/cache/perilune-lab"

    /// The lab's directory: absolute, with links resolved.
    package let root: String
    /// The `perilune` program that runs as each site's agent, or nil for sites without agents.
    package let agentProgram: String?
    /// The size of each site's file system in bytes, when it is first made.
    ///
    /// The file is sparse.
    package let siteBytes: Int64
    /// The directory with `vmlinux` and `initrd.gz`.
    package let guestFiles: String
    /// The port of the agents' data address.
    package let agentPort: Int

    /// Makes a configuration.
    ///
    /// - Throws: `invalid` when `root` is not a path that can hold a lab.
    package init(
        root: String = LabConfiguration.defaultRoot, agentProgram: String? = nil, siteBytes: Int64 = 8 << 30,
        guestFiles: String = LabConfiguration.defaultGuestFiles, agentPort: Int = 7731
    ) throws(LabError) {
        self.root = try Self.checkedRoot(root)
        self.agentProgram = agentProgram
        self.siteBytes = siteBytes
        self.guestFiles = guestFiles
        self.agentPort = agentPort
        if siteBytes < 64 << 20 {
            throw LabError(.invalid, "A site's file system of \(siteBytes) bytes is too small.", hint: "64 MiB or more")
        }
    }

    /// Network namespaces have names that all labs of the machine share; only the default lab goes without a suffix.
    var namespaceSuffix: String {
        guard root != Self.defaultRoot else { return "" }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in root.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "-" + String(hash & 0xff_ffff, radix: 16)
    }

    private static func checkedRoot(_ path: String) throws(LabError) -> String {
        let url = URL(filePath: path).standardizedFileURL
        let parent = url.deletingLastPathComponent().resolvingSymlinksInPath().path
        let root = (parent == "/" ? "" : parent) + "/" + url.lastPathComponent
        let plain = root.unicodeScalars.allSatisfy { letter in
            letter.isASCII && (letter.properties.isAlphabetic || "0123456789/._-".unicodeScalars.contains(letter))
        }
        guard path.hasPrefix("/"), plain else {
            throw LabError(
                .invalid, "'\(path)' cannot be a lab's root.",
                hint: "an absolute path of letters, digits, '.', '-', '_'")
        }
        // A Unix socket's path has 107 bytes; the longest below a site is run/libvirt-admin-sock.
        guard root.utf8.count <= 72 else {
            throw LabError(.invalid, "The lab's root '\(root)' is too long.", hint: "at most 72 characters")
        }
        guard root.split(separator: "/").count >= 2,
            !["/run/", "/proc/", "/sys/", "/dev/"].contains(where: root.hasPrefix)
        else {
            throw LabError(
                .invalid, "'\(root)' cannot be a lab's root.",
                hint: "a directory of its own, two levels down, not under /run, /proc, /sys or /dev")
        }
        return root
    }
}
