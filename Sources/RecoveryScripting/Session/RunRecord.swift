import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// The vault's record of one run.
struct RunRecord: Sendable {
    let engine: RecoveryEngine
    let id: String
    /// The script's name, as given.
    let script: String
    let startedAt: Timestamp

    /// Records that a run begins.
    ///
    /// - Parameter setUp: what another process needs to go on with it; nil for one that keeps no journal.
    static func begin(
        script: String, text: String, setUp: RunSetUp? = nil, in engine: RecoveryEngine
    ) async throws -> RunRecord {
        var run = Run(
            id: engine.dependencies.identifiers.next(), script: script, text: text,
            startedAt: engine.dependencies.clock.now)
        run.setUp = setUp
        let begun = run
        try await engine.vault.write { vault in
            try vault.insert(begun)
            try vault.append(
                Event(at: begun.startedAt, severity: .info, object: begun.id, text: "run of \(script) begins"))
        }
        return RunRecord(engine: engine, begun)
    }

    init(engine: RecoveryEngine, _ run: Run) {
        self.engine = engine
        id = run.id
        script = run.script
        startedAt = run.startedAt
    }

    /// Records that the run no longer stands still.
    func goesOn() async throws {
        try await engine.vault.write { [id] vault in
            guard var run = try vault.object(Run.self, id: id), run.value.pause != nil else { return }
            run.value.pause = nil
            try vault.update(run)
        }
    }

    /// Records why the run stands still.
    func stand(still pause: RunPause) async throws {
        let (id, now) = (id, engine.dependencies.clock.now)
        try await engine.vault.write { vault in
            guard var run = try vault.object(Run.self, id: id) else { return }
            run.value.pause = pause
            try vault.update(run)
            try vault.append(
                Event(
                    at: now, severity: .warning, object: id,
                    text: "run of \(run.value.script) stands still: \(pause.message)"))
        }
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
            run.value.pause = nil
            run.value.outcome = error?.description ?? "succeeded"
            try vault.update(run)
            try vault.append(
                Event(
                    at: now, severity: error == nil ? .info : .warning, object: id,
                    text: "run of \(run.value.script) ended: \(run.value.outcome ?? "")"))
        }
    }
}
