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
    ///   With `from` it is repeated from an earlier step on, whatever it stands at.
    /// - Throws: `EngineError` when the run is over, when another process drives it, or when a decision is missing or has no
    ///   meaning.
    package func resume(
        _ id: String, decision: RunDecision? = nil, from rewind: Rewind? = nil,
        output: @escaping @Sendable (String) -> Void
    ) async throws -> RunOutcome {
        let found = try await engine.openRun(id)
        if rewind == nil { _ = try Self.step(found, decision) }
        let lease = try await RunLease.take(for: found.id, by: engine)
        do {
            // Whoever drove the run until now has written its last.
            let run = try await engine.openRun(found.id)
            let step = rewind == nil ? try Self.step(run, decision) : nil
            let record = RunRecord(engine: engine, run)
            let rows = try await engine.vault.read { try $0.journal(of: run.id, after: 0, limit: .max) }
            let now = engine.dependencies.clock.now.milliseconds
            var (recording, last) = (try Recording(rows), rows.last)
            if let rewind {
                try rewind.check(against: rows, of: run.id)
                let entry = JournalEntry.rewound(
                    to: rewind.step, again: rewind.again.sorted(), by: rewind.by, at: now)
                // Durable by itself, as what follows is read with it in mind.
                let row = JournalRow(after: rows.last, entries: [try entry.text])
                let held = await lease.lease
                try await engine.vault.write { vault in
                    try vault.require(held, now: Timestamp(milliseconds: now))
                    try vault.append(row, toJournalOf: run.id)
                }
                (recording, last) = (try Recording(rows + [row]), row)
            }
            var entries = [JournalEntry.resumed(by: engine.dependencies.holder, at: now)]
            if let decision, let step {
                let entry = JournalEntry.decided(
                    .init(
                        step: step, choice: decision.choice, value: JournalValue(decision.value),
                        reason: decision.reason, by: decision.by, at: now))
                entries.append(entry)
                try recording.add(entry)
            }
            try await record.goesOn()
            return try await go(
                on: record, recording, after: last, lease, run.text, run.setUp?.arguments ?? [], first: entries,
                output: output)
        } catch {
            await lease.drop()
            throw error
        }
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
