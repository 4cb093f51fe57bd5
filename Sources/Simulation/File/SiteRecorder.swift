import BlockReplication
internal import Foundation
import Hypervisors
package import RecoveryEngine
package import SiteModel

/// Writes down what there is at real hosts, so that the same can be simulated.
package enum SiteRecorder {
    /// A description of these hosts' sites: VMs, disks, sizes, networks and free space, as hypervisors and agents tell it.
    ///
    /// What nobody can tell (speeds, links, what guests write) is left to the defaults, to be filled in by hand.
    ///
    /// - Parameter skipped: told of each host that did not answer, with the reason; it is written without VMs.
    package static func record(
        _ hosts: [SiteModel.Host], through connections: any Connections,
        skipped: (SiteModel.Host, any Error) -> Void
    ) async throws -> String {
        var sites: [String: [[String: Any]]] = [:]
        for host in hosts.sorted(by: { $0.name < $1.name }) {
            var record: [String: Any] = ["name": host.name, "store": host.store]
            do {
                let hypervisor = try await connections.hypervisor(of: host)
                record["networks"] = try await hypervisor.networks().sorted()
                var vms: [[String: Any]] = []
                var disks: UInt64 = 0
                for domain in try await hypervisor.domains() {
                    disks += domain.disks.reduce(0) { $0 + ($1.size ?? 0) }
                    let xml = try await hypervisor.inactiveXML(uuid: domain.uuid)
                    vms.append(try vm(domain, xml))
                }
                record["vms"] = vms
                let free = try await connections.agent(of: host).status().freeBytes
                record["free"] = free
                record["capacity"] = free + disks
            } catch let error where error is HypervisorError || error is ReplicationError {
                skipped(host, error)
            }
            sites[host.site, default: []].append(record)
        }
        let file: [String: Any] = [
            "format": 1,
            "sites": sites.sorted { $0.key < $1.key }.map { ["name": $0.key, "hosts": $0.value] as [String: Any] },
        ]
        let data = try JSONSerialization.data(
            withJSONObject: file, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        return String(decoding: data, as: UTF8.self)
    }

    private static func vm(_ domain: Domain, _ xml: String) throws -> [String: Any] {
        // What an engine wrote into the definition belongs to a vault that the simulation does not have.
        var definition = try DomainDefinition(xml: xml)
        try definition.setOwnership(nil)
        return [
            "name": domain.name, "uuid": domain.uuid, "power": domain.power.isActive ? "running" : "off",
            "autostart": domain.autostart, "definition": definition.xml,
            "disks": domain.disks.compactMap { disk -> [String: Any]? in
                guard let path = disk.path, let size = disk.size else { return nil }
                return [
                    "target": disk.target, "path": path, "format": disk.format == "raw" ? "raw" : "qcow2", "size": size,
                ]
            },
        ]
    }
}
