import Foundation
import Glibc
import RecoveryEngine

extension Terminal {
    /// How plans ask a person: here, or by saying how to answer from elsewhere.
    static func prompt(_ display: JobDisplay) -> any PlanPrompt {
        readsFromPerson ? TerminalPrompt(display: display) : ElsewherePrompt(display: display)
    }
}

/// Asks the person at the terminal to do a plan's manual action and to say what was seen.
struct TerminalPrompt: PlanPrompt {
    let display: JobDisplay

    func confirm(_ request: PlanPromptRequest) async throws -> String {
        display.clear()
        Terminal.complain(
            """

            Plan \(request.plan), group \(request.group): \(request.action)
            \(request.instructions)
            When it is done, write what you saw and press Enter ("no: reason" if it cannot be done).
            """)
        while true {
            try Task.checkCancellation()
            // The line is read only when there is one, so that a confirmation from elsewhere can end the wait.
            if try await isReady() {
                guard let line = readLine() else {
                    throw EngineError(.failed, "nobody is at the terminal any more", hint: "run the plan again")
                }
                let text = line.trimmingCharacters(in: .whitespaces)
                guard !text.lowercased().hasPrefix("no:") else {
                    throw EngineError(
                        .failed, "declined: \(text.dropFirst(3).trimmingCharacters(in: .whitespaces))",
                        hint: "when it can be done, run the plan again")
                }
                return text
            }
        }
    }

    private func isReady() async throws -> Bool {
        var ready = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        if poll(&ready, 1, 0) > 0 { return true }
        try await Task.sleep(for: .milliseconds(200))
        return false
    }
}
