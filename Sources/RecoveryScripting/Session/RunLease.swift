import RecoveryEngine
import SiteModel
import VaultStore

/// Keeps a run known to be alive while something in the world waits for its end.
///
/// Whatever a run leaves to its end (a test VM) goes when the lease has run out: its process has died.
actor RunLease {
    private let engine: RecoveryEngine
    private let run: String
    private var kept: KeptLease?

    init(engine: RecoveryEngine, run: String) {
        self.engine = engine
        self.run = run
    }

    /// Takes the lease, once, and renews it until `release`.
    func hold() async throws {
        guard kept == nil else { return }
        let (dependencies, name) = (engine.dependencies, RecoveryEngine.runLeaseName(run))
        let now = dependencies.clock.now
        let lease = try await engine.vault.write {
            try $0.acquireLease(
                name, holder: dependencies.holder, now: now, lifetime: dependencies.leaseLifetime)
        }
        kept = KeptLease(lease, dependencies: dependencies)
        await kept?.keep()
    }

    /// Gives the lease up.
    func release() async {
        let held = kept
        kept = nil
        await held?.drop()
    }
}
