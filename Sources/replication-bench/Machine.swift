import Foundation

/// What the figures were taken on, as a paragraph.
enum Machine {
    static func note(_ bench: Workbench) -> String {
        let processor = lines("/proc/cpuinfo").first { $0.hasPrefix("model name") }?
            .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
        let memory = lines("/proc/meminfo").first?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
        let kernel = lines("/proc/sys/kernel/osrelease").first.map(String.init)
        let load = lines("/proc/loadavg").first?.split(separator: " ").prefix(1).joined()
        let machine =
            "\(ProcessInfo.processInfo.activeProcessorCount) processors (\(processor ?? "of unknown make")), "
            + "\((memory ?? 0) >> 20) GiB of memory, Linux \(kernel ?? "?"), load \(load ?? "?") when it began"
        let packages = [
            "qemu-utils", "libvirt-daemon", "libnbd-bin", "nbdkit", "rsync", "virtnbdbackup", "xxhash", "libxxhash0",
        ]
        let versions = packages.compactMap { package in version(package).map { "\(package) \($0)" } }
        return """
            Both sites are processes on one machine: \(machine). Disks of \(bench.size >> 20) MiB, six tenths random data, \
            a tenth written zeros; in memory (tmpfs) unless a row says otherwise. A time of ours is from opening a point at the \
            target until it is sealed there: on stable storage, checksummed, in the manifest. Agents talk over loopback. \
            Peers: \(versions.joined(separator: ", ")).
            """
    }

    private static func lines(_ path: String) -> [Substring] {
        ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
    }

    private static func version(_ package: String) -> String? {
        let status = lines("/var/lib/dpkg/status")
        guard let start = status.firstIndex(where: { $0 == "Package: \(package)" }) else { return nil }
        return status[start...].prefix(12).first { $0.hasPrefix("Version: ") }.map { String($0.dropFirst(9)) }
    }
}
