import RecoveryEngine
import SiteModel
import VaultStore

/// Keeps a run known to be alive: from its beginning where it keeps a journal, else while something in the world waits for its
/// end.
///
/// Whatever a run leaves to its end (a test VM) goes when the lease has run out and nobody may go on with the run.
actor RunLease {
    private let engine: RecoveryEngine
    private let run: String
    private var kept: KeptLease?

    init(engine: RecoveryEngine, run: String, kept: KeptLease? = nil) {
        self.engine = engine
        self.run = run
        self.kept = kept
    }

    /// Takes the lease of a run and renews it; one that a process has left is waited for until it has run out.
    ///
    /// - Throws: `EngineError` of kind `busy` when a living process drives the run.
    static func take(for run: String, by engine: RecoveryEngine) async throws -> KeptLease {
        let (dependencies, name) = (engine.dependencies, RecoveryEngine.runLeaseName(run))
        // Two drivers of one process are two drivers.
        let holder = "\(dependencies.holder)#\(dependencies.identifiers.next())"
        var runsOut: Timestamp?
        while true {
            let now = dependencies.clock.now
            do {
                let lease = try await engine.vault.write {
                    try $0.acquireLease(name, holder: holder, now: now, lifetime: dependencies.leaseLifetime)
                }
                let kept = KeptLease(lease, dependencies: dependencies)
                await kept.keep()
                return kept
            } catch let error as VaultError where error.code == .leaseHeld {
                let held = try await engine.vault.read { try $0.lease(name) }
                runsOut = runsOut ?? held?.expiresAt
                // A living process has renewed it meanwhile.
                if let runsOut, now > runsOut {
                    throw EngineError(
                        .busy,
                        "run \(run) is being driven" + (held.map { " by \(LeaseHolder($0.holder).words)" } ?? ""),
                        hint: "see: perilune runs show \(run)", object: run)
                }
                try await dependencies.clock.sleep(seconds: min(1, dependencies.leaseLifetime / 10))
            }
        }
    }

    /// Takes the lease, once, and renews it until `release`.
    func hold() async throws {
        guard kept == nil else { return }
        kept = try await Self.take(for: run, by: engine)
    }

    /// Gives the lease up.
    func release() async {
        let held = kept
        kept = nil
        await held?.drop()
    }
}
