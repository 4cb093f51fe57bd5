@preconcurrency import CEdit
import Foundation
import Glibc
import RecoveryScripting
import Synchronization

/// Reads entries with libedit on a terminal, plainly from anything else.
final class LineEditor: @unchecked Sendable {
    enum Line {
        case text(String)
        /// Ctrl-C: what was typed is dropped.
        case interrupted
        case end
    }

    // libedit keeps global state; everything that touches it runs on `queue`.
    private let queue = DispatchQueue(label: "perilune.line-editor")
    private let history: String?
    private static let historyLength: Int32 = 1000
    private static let controlC: Int32 = 3

    /// Whether Ctrl-C ended the line: libedit's callbacks carry no context, and there is one terminal.
    private static let interrupted = Mutex(false)
    private let complete: @Sendable (String) async -> Completion

    /// - Parameters:
    ///   - history: file that entries are kept in, made with mode 0600; nil for none.
    ///   - complete: says what may follow a piece of an entry.
    init(history: String?, complete: @escaping @Sendable (String) async -> Completion) {
        self.history = isatty(STDIN_FILENO) == 1 ? history : nil
        self.complete = complete
        queue.sync {
            using_history()
            stifle_history(Self.historyLength)
            if let history = self.history { read_history(history) }
            if isatty(STDIN_FILENO) == 1 {
                // Without it libedit takes letters beyond ASCII for noise.
                setlocale(LC_CTYPE, "")
                Self.takeControlC()
                TabKey.take()
            }
        }
    }

    /// Makes Ctrl-C a key while a line is edited: a signal would find libedit in the middle of its work.
    ///
    /// During an evaluation the terminal is as it was before, and Ctrl-C is a signal again.
    private static func takeControlC() {
        // Signals are this program's own: libedit would put back handlers that it saw at the wrong time.
        rl_catch_signals = 0
        rl_initialize()
        // The switch to its own mode is where libedit learns of the key, and forgets what was bound to it.
        setInterruptKey(false)
        rl_prep_terminal(1)
        rl_add_defun(
            "perilune-interrupt",
            { _, _ in
                LineEditor.interrupted.withLock { $0 = true }
                rl_done = 1
                return 0
            }, controlC)
        rl_deprep_terminal()
        setInterruptKey(true)
    }

    /// Says whether the terminal makes a signal of Ctrl-C, or hands it over as a character.
    private static func setInterruptKey(_ isOn: Bool) {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else { return }
        settings.c_cc.0 = isOn ? cc_t(controlC) : 0  // The first is VINTR on Linux; 0 turns it off.
        tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    }

    /// The next line.
    ///
    /// - Parameter entry: the lines before it, when it goes on with an entry.
    func read(prompt: String, after entry: String) async -> Line {
        let complete = complete
        TabKey.search = { await complete(entry.isEmpty ? $0 : "\(entry)\n\($0)") }
        return await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: Self.readNow(prompt: prompt)) }
        }
    }

    private static func readNow(prompt: String) -> Line {
        guard isatty(STDIN_FILENO) == 1 else { return readLine().map { .text($0) } ?? .end }
        interrupted.withLock { $0 = false }
        rl_resize_terminal()
        setInterruptKey(false)
        defer { setInterruptKey(true) }
        guard let line = readline(prompt) else {
            return interrupted.withLock { $0 } ? .interrupted : .end
        }
        defer { free(line) }
        return interrupted.withLock { $0 } ? .interrupted : .text(String(cString: line))
    }

    func remember(_ entry: String) {
        queue.sync {
            guard let history, !entry.isEmpty else { return }
            add_history(entry)
            write_history(history)
            chmod(history, 0o600)
        }
    }
}
