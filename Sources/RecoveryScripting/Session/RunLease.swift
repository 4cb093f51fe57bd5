import RecoveryEngine
import SiteModel
import VaultStore

/// Keeps a run known to be alive while something in the world waits for its end.
///
/// Whatever a run leaves to its end (a test VM) goes when the lease has run out: its process has died.
actor RunLease {
    private let engine: RecoveryEngine
    private let run: String
    private var held: (lease: HeldLease, renewal: Task<Void, Never>)?

    init(engine: RecoveryEngine, run: String) {
        self.engine = engine
        self.run = run
    }

    /// Takes the lease, once, and renews it until `release`.
    func hold() async throws {
        guard held == nil else { return }
        let (dependencies, name) = (engine.dependencies, RecoveryEngine.runLeaseName(run))
        let now = dependencies.clock.now
        let lease = HeldLease(
            try await engine.vault.write {
                try $0.acquireLease(
                    name, holder: dependencies.holder, now: now, lifetime: dependencies.leaseLifetime)
            }, dependencies: dependencies)
        // Whoever asked at the same time has it for the same holder: one renewal is enough.
        guard held == nil else { return }
        held = (lease, Task(executorPreference: dependencies.executor) { await lease.renewUntilLost() })
    }

    /// Gives the lease up.
    func release() async {
        guard let (lease, renewal) = held else { return }
        held = nil
        renewal.cancel()
        await lease.release()
    }
}
