import SiteModel
import VaultStore

/// The right to drive one job: kept alive while the driver works, and asked for before everything that it does.
struct JobLease: Sendable {
    private let dependencies: EngineDependencies
    private let jobID: String
    private let kept: KeptLease

    init(dependencies: EngineDependencies, jobID: String, lease: Lease) {
        self.dependencies = dependencies
        self.jobID = jobID
        kept = KeptLease(lease, dependencies: dependencies)
    }

    var lease: Lease { get async { await kept.lease } }

    /// Refuses to go on when another engine has taken the job over, or another operation has ended it.
    ///
    /// Asked before each effect: an engine that was stopped for a while (a suspended machine, a debugger) finds out here, before
    /// it does more harm than the one call that was on its way.
    func require() async throws {
        let (held, jobID, now) = (await lease, jobID, dependencies.clock.now)
        try await dependencies.vault.read { vault in
            guard let live = try vault.lease(held.name), live.holder == held.holder, live.epoch == held.epoch,
                live.expiresAt > now
            else { throw VaultError(.leaseLost, "the lease \(held.name) is no longer this engine's") }
            guard try vault.object(Job.self, id: jobID)?.value.state.isOpen == true else { throw Superseded() }
        }
    }

    func renewUntilCancelled() async { await kept.renewUntilCancelled() }

    /// Lets the job go.
    func drop() async { await kept.drop() }
}

/// Another operation ended this job: its record is closed and the VM is no longer ours to touch.
struct Superseded: Error {}
