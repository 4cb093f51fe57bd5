import SiteModel
import VaultStore

/// The right to drive one job: kept alive while the driver works, and asked for before everything that it does.
actor JobLease {
    private let dependencies: EngineDependencies
    private let jobID: String
    private(set) var lease: Lease

    init(dependencies: EngineDependencies, jobID: String, lease: Lease) {
        self.dependencies = dependencies
        self.jobID = jobID
        self.lease = lease
    }

    /// Refuses to go on when another engine has taken the job over, or another operation has ended it.
    ///
    /// Asked before each effect: an engine that was stopped for a while (a suspended machine, a debugger) finds out here, before
    /// it does more harm than the one call that was on its way.
    func require() async throws {
        let (held, jobID, now) = (lease, jobID, dependencies.clock.now)
        try await dependencies.vault.read { vault in
            guard let live = try vault.lease(held.name), live.holder == held.holder, live.epoch == held.epoch,
                live.expiresAt > now
            else { throw VaultError(.leaseLost, "the lease \(held.name) is no longer this engine's") }
            guard try vault.object(Job.self, id: jobID)?.value.state.isOpen == true else { throw Superseded() }
        }
    }

    func renewUntilCancelled() async {
        while !Task.isCancelled {
            do {
                try await dependencies.clock.sleep(seconds: dependencies.leaseLifetime / 3)
                let (held, now, lifetime) = (lease, dependencies.clock.now, dependencies.leaseLifetime)
                lease = try await dependencies.vault.write { try $0.renew(held, now: now, lifetime: lifetime) }
            } catch let error as VaultError where error.code != .leaseLost {
                // The vault may be busy for a moment; the lease has time for two more tries.
                continue
            } catch {
                // A lease that is lost shows at the driver's next step, which requires it.
                return
            }
        }
    }

    /// Lets the job go.
    ///
    /// One that cannot be let go runs out by itself.
    func drop() async {
        let held = lease
        try? await dependencies.vault.write { try $0.release(held) }
    }
}

/// Another operation ended this job: its record is closed and the VM is no longer ours to touch.
struct Superseded: Error {}
