import Hypervisors
import SiteModel
import VaultStore

/// What is done about a copy that runs on an ownership that has ended, whoever meets it: the watch, or a failover under way.
extension Hypervisor {
    /// Keeps an active copy from writing and from being heard: suspended, its links down; nothing of it is thrown away.
    func quiet(_ domain: Domain) async throws {
        if domain.power.mayWrite { try await suspend(uuid: domain.uuid) }
        try await setLinks(uuid: domain.uuid, up: false)
    }
}

extension PowerState {
    /// Whether the guest executes, and so may write its disks.
    var mayWrite: Bool { self == .running || self == .shuttingDown }
}

extension FormerCopy {
    /// What is told of it; `host` is the name of the host that has it.
    private func words(vm: String, host: String) -> String {
        switch state {
        case .suspended:
            "\(vm) came back running at \(host), which owned it until epoch \(epoch); "
                + "it was suspended, its links set down, its disks kept. Save what it holds if you need it, then end "
                + "it there (virsh destroy)"
        case .stopped:
            "\(host) came back with its former copy of \(vm), off: nothing is replicated from it, "
                + "and it is kept from starting"
        }
    }

    /// Keeps what was found with the relationship, and raises the alert in the same transaction; false when it is known already.
    func note(in relationship: inout Relationship, hostName: String, _ vault: any VaultWriter) throws -> Bool {
        let before = relationship.formerCopy
        guard before?.host != host || before?.state != state else { return false }
        relationship.formerCopy = self
        // What an undo left is seen to be at rest now.
        if host == relationship.target { relationship.leftCopy?.verdict = .proven }
        // One that was suspended and has been ended since is no news.
        guard before?.host != host || state == .suspended else { return true }
        try vault.append(
            Event(
                at: at, severity: state == .suspended ? .critical : .warning, object: relationship.id,
                text: words(vm: relationship.name, host: hostName)))
        return true
    }
}
