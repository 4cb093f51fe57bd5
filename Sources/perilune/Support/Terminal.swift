import Foundation
import Glibc
import SiteModel
import Synchronization

/// Standard output and error, and whether a person is looking.
enum Terminal {
    static let isInteractive = isatty(STDERR_FILENO) == 1
    static let readsFromPerson = isatty(STDIN_FILENO) == 1

    static func complain(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    static func say(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }
}

/// Shows what jobs do: bars that redraw themselves on a terminal, a line a stage elsewhere.
///
/// All of it goes to standard error, so that a script's own output stays clean.
final class JobDisplay: Sendable {
    private struct Shown {
        var lines: [String: String] = [:]
        var drawn = 0
        var told: [String: String] = [:]
    }

    private let shown = Mutex(Shown())
    private let quiet: Bool

    init(quiet: Bool = false) {
        self.quiet = quiet
    }

    func update(_ job: Job, _ vm: String) {
        guard !quiet else { return }
        shown.withLock { shown in
            if Terminal.isInteractive { draw(job, vm, &shown) } else { tell(job, vm, &shown) }
        }
    }

    /// Takes the bars away before other output is written, so that the two do not mix.
    func clear() {
        shown.withLock { shown in
            guard shown.drawn > 0 else { return }
            erase(&shown)
        }
    }

    private func tell(_ job: Job, _ vm: String, _ shown: inout Shown) {
        let stage = job.stages.first { $0.state == .begun }?.name
        let line =
            stage.map { "\(job.operation.rawValue): \($0)" } ?? "\(job.operation.rawValue): \(job.state.rawValue)"
        guard shown.told[vm] != line, stage != nil || !job.state.isOpen else { return }
        shown.told[vm] = line
        Terminal.complain("  \(vm)  \(line)")
    }

    private func draw(_ job: Job, _ vm: String, _ shown: inout Shown) {
        erase(&shown)
        shown.lines[vm] = job.state.isOpen ? Self.line(job, vm) : nil
        let lines = shown.lines.sorted { $0.key < $1.key }.map(\.value)
        for line in lines { FileHandle.standardError.write(Data((line + "\n").utf8)) }
        shown.drawn = lines.count
    }

    private func erase(_ shown: inout Shown) {
        guard shown.drawn > 0 else { return }
        FileHandle.standardError.write(Data("\u{1B}[\(shown.drawn)A\u{1B}[J".utf8))
        shown.drawn = 0
    }

    private static func line(_ job: Job, _ vm: String) -> String {
        let stage = job.stages.first { $0.state == .begun }?.name ?? ""
        let name = vm.padding(toLength: 14, withPad: " ", startingAt: 0)
        guard let progress = job.progress, progress.total > 0 else {
            return "  \(name) \(job.operation.rawValue): \(stage)"
        }
        let share = min(1, Double(progress.done) / Double(progress.total))
        let filled = Int(share * 24)
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
        let rate = Text.bytes(UInt64(progress.bytesPerSecond))
        return "  \(name) \(job.operation.rawValue): \(stage) \(bar) \(Int(share * 100)) %  \(rate)/s"
    }
}

/// Figures as people read them.
enum Text {
    static func bytes(_ count: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : String(format: "%.1f %@", value, units[unit])
    }

    static func age(_ seconds: Double) -> String {
        switch seconds {
        case ..<60: String(format: "%.0f s", max(0, seconds))
        case ..<3600: String(format: "%.0f min", seconds / 60)
        case ..<86_400: String(format: "%.1f h", seconds / 3600)
        default: String(format: "%.1f d", seconds / 86_400)
        }
    }

    /// Columns as wide as their widest cell, two spaces apart.
    static func table(_ rows: [[String]]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
