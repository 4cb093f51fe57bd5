import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

/// How long the chain of one disk may take to be folded, before it is left for the next time.
private let flattenLimit = Duration.seconds(3600)

/// Folding the chain that failovers grow.
extension JobDriver {
    /// Folds the chain under the running VM, and removes the points that it grew out of.
    ///
    /// Runs once the first reversed point is whole, because until then the chosen point is the last good copy beside the VM
    /// itself. A chain that cannot be folded now costs read speed, not safety: it is left, said, and tried at the next reversal.
    func flatten() async throws {
        do {
            let hypervisor = try await hosts.hypervisor(relationship.source)
            if try await hypervisor.domain(uuid: relationship.vmUUID)?.power.isActive == true {
                try await checkOwnership(of: relationship.source)
                for disk in relationship.disks.map(\.target) { try await fold(disk, hypervisor) }
            }
            try await noteImages(at: relationship.source)
            let host = relationship.source
            try await hosts.agent(host).settleDisks(
                relationship: relationship.id,
                disks: relationship.disks.compactMap { disk in
                    disk.images[host].map { AdoptedDisk(target: disk.target, size: disk.size, image: $0) }
                })
        } catch let error where error is HypervisorError || error is ReplicationError {
            let (now, name, what) = (now, relationship.name, Self.describe(error).message)
            try await record { _, relationship, vault in
                try vault.append(
                    Event(
                        at: now, severity: .warning, object: relationship.id,
                        text: "the chain of \(name) is not folded: \(what)"))
            }
        }
    }

    /// Folds one disk's chain into the lowest layer that is the relationship's own and keeps bitmaps.
    private func fold(_ target: String, _ hypervisor: any Hypervisor) async throws {
        let definition = try DomainDefinition(xml: await hypervisor.inactiveXML(uuid: relationship.vmUUID))
        let chain = definition.disks.first { $0.target == target }?.chain ?? []
        guard let floor = try await floor(of: chain, target), floor != chain.first else { return }
        try await hypervisor.commitChain(
            uuid: relationship.vmUUID, disk: target, into: floor.path, limit: flattenLimit)
        try await noteImages(at: relationship.source)
    }

    /// The lowest layer that a fold may write.
    ///
    /// It is a file of the relationship's store or the disk that the VM had when it was protected, never what lies beneath
    /// that: other VMs may stand on it. It is qcow2, not the raw base: libvirt then takes the bitmaps along.
    private func floor(
        of chain: [DomainDefinition.Layer], _ target: String
    ) async throws -> DomainDefinition.Layer? {
        let store = try await hosts.host(relationship.source).store + "/points/\(relationship.id)/"
        let atHome = relationship.source == relationship.home
        let original = relationship.disks.first { $0.target == target }?.original?.path
        let own = chain.prefix { $0.path.hasPrefix(store) || (atHome && $0.path == original) }
        return own.last { $0.format == "qcow2" }
    }
}
