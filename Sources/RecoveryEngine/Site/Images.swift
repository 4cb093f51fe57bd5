import BlockReplication
import Hypervisors
import SiteModel
import VaultStore

extension JobDriver {
    /// Takes into the record the files that the VM's definition names at a host, and tells whether any was another.
    ///
    /// They change behind the record when a chain is folded half-way, or when somebody moves a disk. `also` is what else
    /// becomes true of the relationship with it, in the same write: an engine may die right after.
    func noteImages(
        at host: String, also: @escaping @Sendable (inout Relationship) -> Void = { _ in }
    ) async throws {
        guard let domain = try await hosts.hypervisor(host).domain(uuid: relationship.vmUUID) else { return }
        let named = Dictionary(
            domain.disks.compactMap { disk in
                disk.path.map { (disk.target, DiskImage(path: $0, format: disk.format)) }
            }, uniquingKeysWith: { first, _ in first })
        let changed = relationship.disks.contains { disk in
            named[disk.target].map { $0 != disk.images[host] } ?? false
        }
        guard changed else { return }
        try await record { _, relationship, _ in
            for index in relationship.disks.indices {
                guard let image = named[relationship.disks[index].target] else { continue }
                relationship.disks[index].images[host] = image
            }
            also(&relationship)
        }
    }
}
