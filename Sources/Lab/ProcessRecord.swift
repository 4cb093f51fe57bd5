import Foundation
import Glibc

/// A process the lab started, told from a later one with the same number by its start time and boot.
struct ProcessRecord: Sendable, Hashable {
    let pid: pid_t
    /// Clock ticks from the machine's boot to the process's start: field 22 of /proc/PID/stat (proc(5)).
    let startTicks: UInt64
    let bootID: String

    /// Reads a record file: the boot's id, then the process's own line of /proc/PID/stat.
    init?(file: String) {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
        let lines = text.split(separator: "\n")
        guard lines.count == 2, let stat = ProcessStat(line: lines[1]) else { return nil }
        self.init(pid: stat.pid, startTicks: stat.startTicks, bootID: String(lines[0]))
    }

    private init(pid: pid_t, startTicks: UInt64, bootID: String) {
        self.pid = pid
        self.startTicks = startTicks
        self.bootID = bootID
    }

    /// Whether the process still runs.
    ///
    /// A zombie does not: its parent may be late to collect it.
    var isRunning: Bool {
        guard let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8),
            boot.trimmingCharacters(in: .whitespacesAndNewlines) == bootID,
            let stat = ProcessStat(pid: pid)
        else { return false }
        return stat.startTicks == startTicks && !stat.isDead
    }
}

/// The fields of /proc/PID/stat that the lab reads.
struct ProcessStat: Sendable {
    let pid: pid_t
    let state: Character
    let startTicks: UInt64

    var isDead: Bool { state == "Z" || state == "X" }

    init?(pid: pid_t) {
        guard let line = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return nil }
        self.init(line: line[...])
    }

    /// Parses a line; the program's name in parentheses may itself hold anything, so fields count from the last one.
    init?(line: Substring) {
        guard let open = line.firstIndex(of: "("), let close = line.lastIndex(of: ")"), open < close,
            let pid = pid_t(line[..<open].trimmingCharacters(in: .whitespaces))
        else { return nil }
        let fields = line[close...].dropFirst().split(separator: " ")
        guard fields.count > 19, let state = fields[0].first, let start = UInt64(fields[19]) else { return nil }
        self.pid = pid
        self.state = state
        startTicks = start
    }
}
