import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// Going on with runs.
extension ScriptRunner {
    /// Goes on with a run that stands still, or whose process has died, and returns how it ended.
    ///
    /// What is written in its journal is not done again.
    ///
    /// - Parameter decision: what becomes of the step that it stands at; a run that stands still because a step failed wants one.
    /// - Throws: `EngineError` when the run is over, when another process drives it, or when a decision is missing or has no
    ///   meaning.
    package func resume(
        _ id: String, decision: RunDecision? = nil, output: @escaping @Sendable (String) -> Void
    ) async throws -> RunOutcome {
        let run = try await engine.openRun(id)
        let step = try Self.step(run, decision)
        let rows = try await engine.vault.read { try $0.journal(of: id, after: 0, limit: .max) }
        let now = engine.dependencies.clock.now.milliseconds
        var entries: [JournalEntry] = []
        var recording = try Recording(rows)
        if let decision, let step {
            let entry = JournalEntry.decided(
                .init(
                    step: step, choice: decision.choice, value: JournalValue(decision.value), reason: decision.reason,
                    by: decision.by, at: now))
            entries.append(entry)
            try recording.add(entry)
        }
        entries.append(.resumed(by: engine.dependencies.holder, at: now))
        return try await go(
            on: RunRecord(engine: engine, run), recording, run.text, run.setUp?.arguments ?? [], decided: entries,
            output: output)
    }

    /// The step that a decision is about.
    private static func step(_ run: Run, _ decision: RunDecision?) throws -> String? {
        guard let pause = run.pause, pause.wantsDecision, let step = pause.step else {
            guard decision == nil else {
                throw EngineError(
                    .invalid, "run \(run.id) waits for no decision", hint: "resume it without one", object: run.id)
            }
            return nil
        }
        guard decision != nil else {
            throw EngineError(
                .invalid,
                "run \(run.id) stands still at step \(step), \(pause.function ?? ""): \(pause.message)",
                hint: "mend the cause and add --retry; or --skip --value V --reason \"...\"; or --fail", object: run.id)
        }
        return step
    }
}
