import RecoveryEngine
import SiteModel
import VaultStore

/// Keeps a run known to be alive while something in the world waits for its end.
///
/// Whatever a run leaves to its end (a test VM) goes when the lease has run out: its process has died.
actor RunLease {
    private let engine: RecoveryEngine
    private let run: String
    private var renewal: Task<Void, Never>?
    private var lease: Lease?

    init(engine: RecoveryEngine, run: String) {
        self.engine = engine
        self.run = run
    }

    /// Takes the lease, once, and renews it until `release`.
    func hold() async throws {
        guard renewal == nil else { return }
        let (dependencies, name) = (engine.dependencies, RecoveryEngine.runLeaseName(run))
        let now = dependencies.clock.now
        lease = try await engine.vault.write {
            try $0.acquireLease(
                name, holder: dependencies.holder, now: now, lifetime: dependencies.leaseLifetime)
        }
        renewal = Task(executorPreference: dependencies.executor) { await self.renew() }
    }

    private func renew() async {
        let dependencies = engine.dependencies
        while !Task.isCancelled {
            do {
                try await dependencies.clock.sleep(seconds: dependencies.leaseLifetime / 3)
                guard let held = lease else { return }
                let now = dependencies.clock.now
                lease = try await engine.vault.write {
                    try $0.renew(held, now: now, lifetime: dependencies.leaseLifetime)
                }
            } catch let error as VaultError where error.code != .leaseLost {
                // The vault may be busy for a moment; the lease has time for two more tries.
                continue
            } catch {
                return
            }
        }
    }

    /// Gives the lease up.
    func release() async {
        renewal?.cancel()
        renewal = nil
        guard let held = lease else { return }
        lease = nil
        try? await engine.vault.write { try $0.release(held) }
    }
}
