import Foundation
import Glibc

/// The processes of one site: all whose mount namespace is the site's.
///
/// Namespaces are found from the world, not from a remembered number, which the kernel gives to others once it is
/// free: a namespace is the site's when it mounts the site's file system, or when the site's holder lives in it.
struct SiteProcesses: Sendable {
    let layout: SiteLayout
    let holder: Daemon

    /// Every live process of the site.
    ///
    /// Zombies have no namespace any more and do not count.
    func all() -> [pid_t] {
        let own = Self.mountNamespace(of: getpid())
        let held = holder.running.flatMap { Self.mountNamespace(of: $0.pid) }
        var isSite: [String: Bool] = [:]
        return Self.allProcesses().filter { pid in
            guard let namespace = Self.mountNamespace(of: pid), namespace != own else { return false }
            if namespace == held { return true }
            if let known = isSite[namespace] { return known }
            guard let answer = mountsFileSystem(pid) else { return false }
            isSite[namespace] = answer
            return answer
        }
    }

    /// Kills every process of the site and returns when none is left.
    ///
    /// All are stopped before any is killed, so that none sees another die and writes about it: a site is lost at one
    /// instant.
    func killAll() async throws(LabError) {
        for pid in all() { kill(pid, SIGSTOP) }
        try await wait(
            for: "The end of the processes of site \(layout.name.rawValue)", within: .seconds(20),
            every: .milliseconds(10), hint: "look for processes in state D"
        ) {
            let left = all()
            for pid in left { kill(pid, SIGKILL) }
            return left.isEmpty
        }
    }

    /// Processes of the site's network namespace that are not in its mount namespace, such as probes; never this one.
    func strayProcesses() async throws(LabError) -> [pid_t] {
        guard SiteNetwork.isNamespace(layout.networkHandle) else { return [] }
        let listed = try await Command(["ip", "netns", "pids", layout.networkNamespace]).output()
        return listed.split(separator: "\n").compactMap { pid_t($0) }.filter { $0 != getpid() }
    }

    private static func allProcesses() -> [pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }
    }

    private static func mountNamespace(of pid: pid_t) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/mnt")
    }

    private func mountsFileSystem(_ pid: pid_t) -> Bool? {
        MountTable(pid: pid)?.contains(layout.fileSystem)
    }
}

/// The mount points that a process sees, from /proc/PID/mountinfo (proc(5)).
struct MountTable: Sendable {
    private let points: Set<String>

    init?(pid: pid_t) {
        // Read to its end by a handle: of a file that the kernel makes up as it is read, with no size to tell, String takes the
        // first page only, and a site whose mounts are listed later would be taken for lost.
        guard let handle = FileHandle(forReadingAtPath: "/proc/\(pid)/mountinfo"),
            let data = try? handle.readToEnd()
        else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        points = Set(
            text.split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ", maxSplits: 5)
                guard fields.count > 4 else { return nil }
                // The kernel marks a mount point whose directory was removed elsewhere.
                return fields[4].hasSuffix("//deleted") ? String(fields[4].dropLast(9)) : String(fields[4])
            })
    }

    func contains(_ path: String) -> Bool { points.contains(path) }

    /// Mount points at a directory or below it.
    func below(_ directory: String) -> [String] {
        points.filter { $0 == directory || $0.hasPrefix(directory + "/") }.sorted()
    }
}
