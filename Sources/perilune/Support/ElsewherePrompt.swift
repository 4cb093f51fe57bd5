import RecoveryEngine

/// Says that a plan waits for a person, and how to answer, where nobody is at the command's own input.
struct ElsewherePrompt: PlanPrompt {
    let display: JobDisplay

    func confirm(_ request: PlanPromptRequest) async throws -> String {
        display.clear()
        Terminal.complain(
            """

            Plan \(request.plan), group \(request.group), waits for a person: \(request.action)
            \(request.instructions)
            When it is done: \(Self.answer(to: request.plan))
            """)
        // The answer comes through the vault, which ends this wait by cancelling it.
        while true { try await Task.sleep(for: .seconds(3600)) }
    }

    /// The command that confirms what a run of the plan waits for.
    static func answer(to plan: String) -> String {
        "perilune recovery-plan confirm \(Text.word(plan)) --note \"what was seen\""
    }
}
