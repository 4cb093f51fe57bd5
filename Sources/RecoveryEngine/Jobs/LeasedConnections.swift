import BlockReplication
import Hypervisors
import SiteModel

/// Connections for the driver of one job: every call that changes something asks first whether the job is still the driver's.
struct LeasedConnections: Connections {
    let base: any Connections
    let lease: JobLease

    func hypervisor(of host: Host) async throws -> any Hypervisor {
        LeasedHypervisor(wrapped: try await base.hypervisor(of: host), lease: lease)
    }

    func agent(of host: Host) async throws -> any Agent {
        LeasedAgent(wrapped: try await base.agent(of: host), lease: lease)
    }
}
