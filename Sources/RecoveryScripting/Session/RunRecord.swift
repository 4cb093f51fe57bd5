import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// The vault's record of one run.
struct RunRecord: Sendable {
    let engine: RecoveryEngine
    let id: String

    /// Records that a run begins.
    static func begin(script: String, text: String, in engine: RecoveryEngine) async throws -> RunRecord {
        let run = Run(
            id: engine.dependencies.identifiers.next(), script: script, text: text,
            startedAt: engine.dependencies.clock.now)
        try await engine.vault.write { vault in
            try vault.insert(run)
            try vault.append(
                Event(at: run.startedAt, severity: .info, object: run.id, text: "run of \(script) begins"))
        }
        return RunRecord(engine: engine, id: run.id)
    }

    /// Adds an entry of an interactive session to the text of its run.
    func append(_ entry: String) async throws {
        let id = id
        try await engine.vault.write { vault in
            guard var run = try vault.object(Run.self, id: id) else { return }
            run.value.text += entry + "\n"
            try vault.update(run)
        }
    }

    /// Records how the run ended.
    func end(_ error: LuaError?) async throws {
        let (id, now) = (id, engine.dependencies.clock.now)
        try await engine.vault.write { vault in
            guard var run = try vault.object(Run.self, id: id) else { return }
            run.value.endedAt = now
            run.value.outcome = error?.description ?? "succeeded"
            try vault.update(run)
            try vault.append(
                Event(
                    at: now, severity: error == nil ? .info : .warning, object: id,
                    text: "run of \(run.value.script) ended: \(run.value.outcome ?? "")"))
        }
    }
}
