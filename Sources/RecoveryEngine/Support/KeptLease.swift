import SiteModel
package import VaultStore

/// A lease of the vault that is renewed while its holder works.
package actor KeptLease {
    /// As it was renewed last.
    package private(set) var lease: Lease
    private let dependencies: EngineDependencies
    private var renewal: Task<Void, Never>?

    package init(_ lease: Lease, dependencies: EngineDependencies) {
        self.lease = lease
        self.dependencies = dependencies
    }

    /// Renews the lease until it is dropped.
    package func keep() {
        guard renewal == nil else { return }
        renewal = Task(executorPreference: dependencies.executor) { await self.renewUntilCancelled() }
    }

    /// Renews the lease each third of its lifetime until this task is cancelled.
    ///
    /// One that is lost shows at the holder's next step, which requires it.
    package func renewUntilCancelled() async {
        while !Task.isCancelled {
            do {
                try await dependencies.clock.sleep(seconds: dependencies.leaseLifetime / 3)
                let (held, now, lifetime) = (lease, dependencies.clock.now, dependencies.leaseLifetime)
                lease = try await dependencies.vault.write { try $0.renew(held, now: now, lifetime: lifetime) }
            } catch let error as VaultError where error.code != .leaseLost {
                // The vault may be busy for a moment; the lease has time for two more tries.
                continue
            } catch {
                return
            }
        }
    }

    /// Renews it no more and lets it go; one that cannot be let go runs out by itself.
    package func drop() async {
        renewal?.cancel()
        let held = lease
        try? await dependencies.vault.write { try $0.release(held) }
    }
}
