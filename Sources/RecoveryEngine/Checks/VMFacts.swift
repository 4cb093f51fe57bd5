package import BlockReplication
package import Hypervisors
package import SiteModel

/// What was learnt of a VM, at the host that it belongs to and at the one that is to take it over.
package struct VMFacts: Sendable {
    /// The host that the VM's replica is, or would be, at.
    package struct Target: Sendable {
        package var name: String
        package var domains: Seen<[Domain]>
        package var networks: Seen<Set<String>>
        package var activeNetworks: Seen<Set<String>>
        package var freeBytes: Seen<UInt64>
        package var freeMemoryMiB: Seen<Int>

        package init(
            name: String, domains: Seen<[Domain]>, networks: Seen<Set<String>>, activeNetworks: Seen<Set<String>>,
            freeBytes: Seen<UInt64>, freeMemoryMiB: Seen<Int>
        ) {
            self.name = name
            self.domains = domains
            self.networks = networks
            self.activeNetworks = activeNetworks
            self.freeBytes = freeBytes
            self.freeMemoryMiB = freeMemoryMiB
        }
    }

    package var name: String
    /// Name of the host that owns it.
    package var host: String
    /// Nil for a VM that is not replicated.
    package var relationship: Relationship?
    package var policyExists: Bool
    package var domain: Seen<Domain>
    package var definition: Seen<DomainDefinition>
    package var readiness: Seen<GuestReadiness>
    /// Headers of its qcow2 files, by path.
    package var images: Seen<[String: ImageFacts]>
    /// Network at the target for each network that it is on; nil where none is mapped.
    package var networks: [String: String?]
    /// Why nothing is known of a target: none is paired, or the VM is at its target now.
    package var target: Seen<Target>
    /// When a test failover last succeeded.
    package var lastTest: Timestamp?
    package var now: Timestamp

    package init(
        name: String, host: String, relationship: Relationship? = nil, policyExists: Bool = true,
        domain: Seen<Domain>, definition: Seen<DomainDefinition>, readiness: Seen<GuestReadiness>,
        images: Seen<[String: ImageFacts]>, networks: [String: String?] = [:], target: Seen<Target>,
        lastTest: Timestamp? = nil, now: Timestamp
    ) {
        self.name = name
        self.host = host
        self.relationship = relationship
        self.policyExists = policyExists
        self.domain = domain
        self.definition = definition
        self.readiness = readiness
        self.images = images
        self.networks = networks
        self.target = target
        self.lastTest = lastTest
        self.now = now
    }

    /// Disks that the guest can write: what has to be replicated.
    var writableDisks: Seen<[DomainDefinition.Disk]> {
        switch definition {
        case .known(let definition):
            .known(definition.disks.filter { $0.device != "cdrom" && $0.device != "floppy" && !$0.isReadOnly })
        case .unknown(let reason): .unknown(reason)
        }
    }
}
