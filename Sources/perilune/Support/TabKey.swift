@preconcurrency import CEdit
import Foundation
import Glibc
import RecoveryScripting
import Synchronization

/// Completes the line that libedit is reading, when Tab is pressed.
enum TabKey {
    private static let tab: Int32 = 9
    /// Columns of the prompt of the line that is read.
    private static var promptWidth: Int { rl_prompt.map { strlen($0) } ?? 0 }
    /// Rows of candidates that a list shows at most.
    private static let rows = 40
    /// A session that is slower to answer than this is not waited for: the key then does nothing.
    private static let patience = DispatchTimeInterval.milliseconds(500)

    private static let current = Mutex<(@Sendable (String) async -> Completion)?>(nil)

    /// What says how a piece of an entry may go on; libedit's callbacks carry no context, and there is one terminal.
    static var search: (@Sendable (String) async -> Completion)? {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    /// Binds the key, on the queue of all that touches libedit.
    static func take() {
        rl_add_defun(
            "perilune-complete",
            { _, _ in
                TabKey.press()
                return 0
            }, tab)
    }

    private static func press() {
        guard let buffer = rl_line_buffer else { return }
        let line = Array(String(cString: buffer).utf8)
        let cursor = min(Int(rl_point), line.count)
        guard let completion = answer(String(decoding: line[..<cursor], as: UTF8.self)), !completion.candidates.isEmpty
        else {
            rl_ding()
            return
        }
        let (typed, common) = (completion.typed, completion.common)
        if common.hasPrefix(typed), common != typed {
            goToStart()
            rl_insert_text(String(common.dropFirst(typed.count)))
            rl_forced_update_display()
        } else if !common.hasPrefix(typed), !common.isEmpty, cursor == line.count {
            goToStart()
            // The cursor comes to stand at the end of the shorter line, where what is inserted then goes.
            rl_replace_line(String(decoding: line.dropLast(typed.utf8.count), as: UTF8.self), 0)
            rl_insert_text(common)
            rl_forced_update_display()
        } else {
            list(completion)
        }
    }

    /// Moves the terminal's cursor to where the prompt begins: the line is then shown anew, which libedit does not do by
    /// itself after a key of ours.
    private static func goToStart() {
        let rows = (promptWidth + Int(rl_point)) / max(1, Terminal.width())
        FileHandle.standardOutput.write(Data(((rows > 0 ? "\u{1B}[\(rows)A" : "") + "\r").utf8))
    }

    /// Shows the candidates below the line, which is then shown again.
    private static func list(_ completion: Completion) {
        let width = Terminal.width()
        let shown = completion.candidates.prefix(rows)
        var lines = Text.table(shown.map { $0.doc.isEmpty ? ["  \($0.label)"] : ["  \($0.label)", $0.doc] })
            .split(separator: "\n").map { cut(String($0), to: width) }
        if completion.candidates.count > rows { lines.append("  and \(completion.candidates.count - rows) more") }
        Terminal.say("\n" + lines.joined(separator: "\n"))
        rl_forced_update_display()
    }

    private static func cut(_ line: String, to width: Int) -> String {
        line.count < width ? line : line.prefix(max(1, width - 4)) + "..."
    }

    /// Waits for the session's answer: libedit's callbacks cannot suspend, and this thread serves nothing else.
    private static func answer(_ piece: String) -> Completion? {
        guard let search else { return nil }
        let done = DispatchSemaphore(value: 0)
        let found = Found()
        Task {
            let completion = await search(piece)
            found.completion.withLock { $0 = completion }
            done.signal()
        }
        guard done.wait(timeout: .now() + patience) == .success else { return nil }
        return found.completion.withLock { $0 }
    }

    private final class Found: Sendable {
        let completion = Mutex<Completion?>(nil)
    }
}
