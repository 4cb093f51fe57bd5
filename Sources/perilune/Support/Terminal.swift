import Foundation
import Glibc
import SiteModel
import Synchronization

/// Standard output and error, and whether a person is looking.
enum Terminal {
    static let isInteractive = isatty(STDERR_FILENO) == 1
    static let writesToPerson = isatty(STDOUT_FILENO) == 1
    static let readsFromPerson = isatty(STDIN_FILENO) == 1

    /// Columns of the terminal behind a descriptor; 80 where there is none or it does not say.
    static func width(of descriptor: Int32 = STDOUT_FILENO) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

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
        var ended = false
    }

    private let shown = Mutex(Shown())
    private let quiet: Bool

    init(quiet: Bool = false) {
        self.quiet = quiet
    }

    func update(_ job: Job, _ vm: String) {
        guard !quiet else { return }
        shown.withLock { shown in
            guard !shown.ended else { return }
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

    /// Takes the bars away for good: a job that goes on without the command shows nothing any more.
    func end() {
        clear()
        shown.withLock { $0.ended = true }
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

    /// One line, never wider than the terminal: a line that wraps could not be taken away again.
    private static func line(_ job: Job, _ vm: String) -> String {
        let room = Terminal.width(of: STDERR_FILENO) - 1
        let stage = job.stages.first { $0.state == .begun }?.name ?? ""
        let name = vm.count < 14 ? vm.padding(toLength: 14, withPad: " ", startingAt: 0) : vm
        let text = "  \(name) \(job.operation.rawValue): \(stage)"
        guard let progress = job.progress, progress.total > 0 else { return String(text.prefix(room)) }
        let share = min(1, Double(progress.done) / Double(progress.total))
        let percent = " \(Int(share * 100)) %"
        let rate = "  \(Text.bytes(UInt64(progress.bytesPerSecond)))/s"
        let left = progress.secondsLeft.map { "  \(Text.duration($0)) left" } ?? ""
        // What tells least goes first when the room is short: the bar shrinks, then time and rate go, then the bar.
        for tail in [percent + rate + left, percent + rate, percent] {
            let width = min(24, room - text.count - tail.count - 1)
            guard width >= 8 else { continue }
            let filled = Int(share * Double(width))
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
            return "\(text) \(bar)\(tail)"
        }
        return String(text.prefix(max(0, room - percent.count))) + percent
    }
}
