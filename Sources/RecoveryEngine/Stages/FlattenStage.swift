import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// How long the chain of one disk may take to be folded, before it is left for the next time.
private let flattenLimit = Duration.seconds(3600)

/// Folding the chain that failovers grow.
extension JobDriver {
    /// Folds the chain under the running VM into its lowest qcow2 layer, and removes the points that it grew out of.
    ///
    /// Runs once the first reversed point is whole, because until then the chosen point is the last good copy beside the VM
    /// itself. The layer is qcow2, not the raw base: libvirt then takes the bitmaps along, so the change map stays exact. A
    /// chain that cannot be folded now costs read speed, not safety: it is left, said, and tried at the next reversal.
    func flatten() async throws {
        let host = relationship.source
        let hypervisor = try await hosts.hypervisor(host)
        guard try await hypervisor.domain(uuid: relationship.vmUUID)?.power.isActive == true else { return }
        do {
            let settled = try await foldChains(hypervisor)
            try await record { _, relationship, _ in
                for index in relationship.disks.indices {
                    relationship.disks[index].images[host] = settled[relationship.disks[index].target]
                }
            }
            try await hosts.agent(host).settleDisks(
                relationship: relationship.id,
                disks: relationship.disks.compactMap { disk in
                    disk.images[host].map { AdoptedDisk(target: disk.target, size: disk.size, image: $0) }
                })
        } catch let error as HypervisorError {
            let (now, name) = (now, relationship.name)
            try await record { _, relationship, vault in
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: relationship.id,
                        text: "the chain of \(name) is not folded: \(error.message)"))
            }
        }
    }

    /// The file that each disk of the VM stands on when its chain is folded, by disk.
    private func foldChains(_ hypervisor: any Hypervisor) async throws -> [String: DiskImage] {
        let definition = try DomainDefinition(xml: await hypervisor.inactiveXML(uuid: relationship.vmUUID))
        var settled: [String: DiskImage] = [:]
        for disk in relationship.disks {
            let chain = definition.disks.first { $0.target == disk.target }?.chain ?? []
            guard let lowest = chain.last(where: { $0.format == "qcow2" }) else {
                throw HypervisorError(.unsupported, "disk \(disk.target) has no qcow2 layer to fold into")
            }
            if lowest.path != chain.first?.path {
                try await hypervisor.commitChain(
                    uuid: relationship.vmUUID, disk: disk.target, into: lowest.path, limit: flattenLimit)
            }
            settled[disk.target] = DiskImage(path: lowest.path, format: lowest.format)
        }
        return settled
    }
}
