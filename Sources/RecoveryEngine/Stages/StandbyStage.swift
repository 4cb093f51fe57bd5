import Hypervisors
import SiteModel
import VaultStore

/// What becomes of the other side's definition of a VM when its protection ends.
extension JobDriver {
    /// Undefines the VM where a failover defined it and it no longer belongs: two definitions of one VM invite two running copies.
    ///
    /// At its home the definition was there before protection, so it stays, and a line in the events says so. One that runs is
    /// left alone.
    func settleStandby(at other: String) async throws {
        guard let hypervisor = try await hosts.reachableHypervisor(other),
            let domain = try await hypervisor.domain(uuid: relationship.vmUUID), !domain.power.isActive
        else { return }
        let (now, name, host) = (now, relationship.name, try await hosts.host(other).name)
        guard other == relationship.home else {
            return try await hypervisor.undefine(uuid: relationship.vmUUID)
        }
        try await record { _, relationship, vault in
            try vault.append(
                Event(
                    at: now, severity: .warning, object: relationship.id,
                    text:
                        "\(name) is still defined at \(host), where it was before it was protected, on the disks of that time: "
                        + "do not start it there while it runs elsewhere; undefine it when you no longer need those disks",
                    code: "former-definition-kept", topic: .vm))
        }
    }
}
