package import SiteModel
import VaultStore

/// Runs of scripts, as the vault has them.
extension RecoveryEngine {
    /// A run that another process may go on with.
    ///
    /// - Throws: `EngineError` when there is none by that id (its beginning will do), or when it is over.
    package func openRun(_ id: String) async throws -> Run {
        let run = try await run(id)
        guard run.setUp != nil else {
            throw EngineError(
                .invalid, "run \(run.id) of \(run.script) keeps no journal, so it cannot be resumed",
                hint: "repeat it; what it has begun is driven to its end by any engine", object: run.id)
        }
        guard run.endedAt == nil else {
            throw EngineError(
                .invalid, "run \(run.id) of \(run.script) is over: \(run.outcome ?? "")", hint: "run the script again",
                object: run.id)
        }
        return run
    }

    /// The run whose id begins so.
    package func run(_ id: String) async throws -> Run {
        let found = try await vault.read { vault in
            if let run = try vault.object(Run.self, id: id)?.value { return [run] }
            return id.count < 4 ? [] : try vault.objects(Run.self).map(\.value).filter { $0.id.hasPrefix(id) }
        }
        guard let run = found.first, found.count == 1 else {
            throw EngineError(
                .unknown, found.isEmpty ? "there is no run '\(id)'" : "\(found.count) runs begin with '\(id)'",
                hint: found.isEmpty ? "see: perilune runs" : "give more of its id", object: id)
        }
        return run
    }

    /// Runs that may be gone on with and that nobody drives: their processes have died.
    ///
    /// Those that wait for a person are not among them.
    package func orphanedRuns() async throws -> [Run] {
        let now = dependencies.clock.now
        return try await vault.read { vault in
            try vault.objects(Run.self).map(\.value).filter { run in
                try run.isOpen && run.pause == nil
                    && vault.lease(Self.runLeaseName(run.id)).map { $0.expiresAt <= now } ?? true
            }.sorted { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
        }
    }

    /// Ends a run that nobody drives; what it has done stays done.
    package func cancelRun(_ id: String, reason: String?) async throws -> Run {
        let run = try await openRun(id)
        let (now, name) = (dependencies.clock.now, Self.runLeaseName(run.id))
        let outcome = "cancelled" + (reason.map { ": \($0)" } ?? "")
        try await vault.write { vault in
            if let lease = try vault.lease(name), now < lease.expiresAt {
                throw EngineError(
                    .busy, "run \(run.id) is being driven by \(LeaseHolder(lease.holder).words)",
                    hint: "end that process first (Ctrl-C)", object: run.id)
            }
            guard var stored = try vault.object(Run.self, id: run.id), stored.value.endedAt == nil else { return }
            stored.value.endedAt = now
            stored.value.outcome = outcome
            stored.value.pause = nil
            try vault.update(stored)
            try vault.append(
                Event(at: now, severity: .warning, object: run.id, text: "run of \(run.script) ended: \(outcome)"))
        }
        await cleanUpTests(ofRun: run.id)
        return try await self.run(run.id)
    }
}
