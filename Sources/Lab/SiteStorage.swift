import Foundation
import Glibc

/// A site's file system and its mount namespace.
struct SiteStorage: Sendable {
    let layout: SiteLayout
    let holder: Daemon

    /// Makes the file that holds the file system, unless it is there.
    ///
    /// It appears whole or not at all. A fresh sparse file reads as zeros, so nothing is zeroed now or later.
    func ensureImage(bytes: Int64) async throws(LabError) {
        if access(layout.image, F_OK) == 0 { return }
        let draft = layout.image + ".new"
        unlink(draft)
        let file = open(draft, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard file >= 0, ftruncate(file, off_t(bytes)) == 0 else {
            throw LabError(.file, "\(draft): \(String(cString: strerror(errno))).", hint: "is there space left?")
        }
        close(file)
        try await Command(
            [
                "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "assume_storage_prezeroed=1", "-L", "perilune-\(layout.name)",
                draft,
            ],
            limit: .seconds(120)
        ).output()
        rename(draft, layout.image)
    }

    /// Starts the holder of the mount namespace and mounts everything in it, unless that is done.
    ///
    /// The namespace lives as long as a process of the site does; the holder is the one that is always there.
    func ensureMounted() async throws(LabError) -> ProcessRecord {
        if let record = holder.running, let last = mounts.last?.target,
            MountTable(pid: record.pid)?.contains(last) == true
        {
            return record
        }
        try await SiteProcesses(layout: layout, holder: holder).killAll()
        try await releaseLoopDevice()
        try emptyRunDirectory()
        let record = try await holder.start(
            ["sleep", "infinity"],
            through: ["nsenter", "--net=\(layout.networkHandle)", "unshare", "--mount", "--propagation", "private"])
        for mount in mounts {
            try await Command(Self.entry(to: record) + ["mkdir", "-p"] + mount.directories).output()
            try await Command(Self.entry(to: record) + ["mount"] + mount.words)
                .output(hint: "the lab needs ext4, tmpfs, sysfs and a free loop device")
        }
        return record
    }

    /// Empties the site's /run/libvirt, as a reboot would: live state of guests and networks that are gone must not be
    /// taken up again.
    func emptyRunDirectory() throws(LabError) {
        guard FileManager.default.fileExists(atPath: layout.run) else { return }
        do {
            for entry in try FileManager.default.contentsOfDirectory(atPath: layout.run) {
                try FileManager.default.removeItem(atPath: "\(layout.run)/\(entry)")
            }
        } catch {
            throw LabError(.file, "\(layout.run) cannot be emptied.", cause: error)
        }
    }

    /// The words that run a program inside the site.
    static func entry(to holder: ProcessRecord) -> [String] {
        ["nsenter", "--target", "\(holder.pid)", "--mount", "--net", "--"]
    }

    /// Waits until no loop device has the site's file open, and frees one that was never mounted.
    func releaseLoopDevice() async throws(LabError) {
        guard access(layout.image, F_OK) == 0 else { return }
        var asked = false
        try await wait(
            for: "The release of the loop device of \(layout.image)", within: .seconds(60),
            hint: "see losetup --list; a process outside the lab may have it mounted"
        ) { () throws(LabError) in
            let devices = try await loopDevices()
            // A mounted device frees itself when the last mount goes; asking for it changes nothing until then.
            if !asked { for device in devices { _ = try await Command(["losetup", "--detach", device]).result() } }
            asked = true
            return devices.isEmpty
        }
    }

    /// The loop devices that hold the site's file.
    func loopDevices() async throws(LabError) -> [String] {
        guard access(layout.image, F_OK) == 0 else { return [] }
        return try await Command(["losetup", "--noheadings", "--output", "NAME", "--associated", layout.image]).output()
            .split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    private struct Mount {
        let directories: [String]
        let words: [String]
        let target: String
    }

    /// The mounts in order; the last one mounted tells that all are.
    private var mounts: [Mount] {
        let own = [
            Mount(
                directories: [], words: ["-t", "ext4", "-o", "loop,noatime", layout.image], target: layout.fileSystem),
            // A /run of its own: libvirt's fixed paths there belong to this site, and /run of the machine stays clean.
            Mount(directories: [], words: ["-t", "tmpfs", "-o", "mode=0755", "tmpfs"], target: "/run"),
            // sysfs shows the network of whoever mounted it; libvirt looks for the site's bridges there.
            Mount(directories: [], words: ["-t", "sysfs", "sysfs"], target: "/sys"),
            Mount(directories: [], words: ["--bind", layout.run], target: "/run/libvirt"),
        ]
        let libvirt = layout.libvirtDirectories.map { part in
            // libvirt keeps the hardware addresses of a network of its own there, and makes no such folder by itself.
            let folders = part.target == "/var/lib/libvirt" ? [part.place, part.place + "/dnsmasq"] : [part.place]
            return Mount(directories: folders, words: ["--bind", part.place], target: part.target)
        }
        return (own + libvirt).map { mount in
            Mount(
                directories: mount.directories + [mount.target], words: mount.words + [mount.target],
                target: mount.target)
        }
    }
}
