import CEdit
import Foundation
import Glibc

/// Reads entries with libedit on a terminal, plainly from anything else.
final class LineEditor: @unchecked Sendable {
    // libedit keeps global state; everything that touches it runs on `queue`.
    private let queue = DispatchQueue(label: "perilune.line-editor")
    private let history: String?
    private static let historyLength: Int32 = 1000

    /// - Parameter history: file that entries are kept in, made with mode 0600; nil for none.
    init(history: String?) {
        self.history = isatty(STDIN_FILENO) == 1 ? history : nil
        queue.sync {
            using_history()
            stifle_history(Self.historyLength)
            if let history = self.history { read_history(history) }
        }
    }

    /// The next line; nil at the end of input.
    func read(prompt: String) async -> String? {
        await withCheckedContinuation { continuation in
            queue.async {
                guard isatty(STDIN_FILENO) == 1 else { return continuation.resume(returning: readLine()) }
                guard let line = readline(prompt) else { return continuation.resume(returning: nil) }
                defer { free(line) }
                continuation.resume(returning: String(cString: line))
            }
        }
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
