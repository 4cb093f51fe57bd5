import BenchFigures
import BlockReplication
import Foundation
import Hypervisors
import SiteModel
import Synchronization

/// From the decision to fail over to a running QEMU: what the agent and the driver do in it.
func failover(_ bench: Workbench, _ sites: Sites, _ guests: GuestSite, disks: Int) -> FigureContest {
    let size: UInt64 = 64 << 20
    let targets = GuestSite.targets(disks)
    let (relationship, uuid) = (sites.relationship(), Sites.vm.uuid)
    let points = [Sites.generation(), Sites.generation()]
    let epoch = Mutex(1)
    let readyXML = Mutex("")

    /// The boot images of a point, and the definition that names them.
    @Sendable func bootDefinition(epoch: Int) async throws -> String {
        let images = try await sites.b.client.createBootImages(
            relationship: relationship, generation: points[1], epoch: epoch)
        var definition = try DomainDefinition(
            xml: await sites.b.client.domainXML(relationship: relationship, generation: points[1]))
        definition.removeHostState()
        for image in images {
            try definition.setDisk(
                image.target, chain: image.chain.map { DomainDefinition.Layer(path: $0.path, format: $0.format) })
        }
        return definition.xml
    }
    @Sendable func clear() async throws {
        let host = try await guests.host()
        try await host.destroy(uuid: uuid)
        try await host.undefine(uuid: uuid)
    }
    let peer = "define + create of the same domain"
    return FigureContest(
        [
            FigureContest.Entrant("ours", obstacle: GuestSite.obstacle) {
                let host = try await guests.host()
                let now = epoch.withLock { epoch in
                    epoch += 1
                    return epoch
                }
                let time = try await seconds {
                    try await sites.b.client.recordOwnership(
                        OwnershipRecord(relationship: relationship, vmUUID: uuid, owner: "b", epoch: now))
                    try await host.define(xml: try await bootDefinition(epoch: now))
                    try await host.start(uuid: uuid, paused: true)
                    try await host.createCheckpoint(uuid: uuid, name: "boot-\(now)", disks: targets)
                    try await host.resume(uuid: uuid)
                }
                try await clear()
                try await sites.b.client.discardBootImages(relationship: relationship, epoch: now)
                return ["ms": time * 1000]
            },
            FigureContest.Entrant(peer, obstacle: GuestSite.obstacle) {
                let host = try await guests.host()
                let xml = readyXML.withLock { $0 }
                let time = try await seconds {
                    try await host.define(xml: xml)
                    try await host.start(uuid: uuid, paused: false)
                }
                try await clear()
                return ["ms": time * 1000]
            },
        ],
        rows: [
            FigureContest.Row(
                "failover decided -> QEMU running, \(disks) disks", "ms", FigureContest.Value("ours", "ms"),
                against: FigureContest.Value(peer, "ms"), goal: .ratioPlus(1.3, 100),
                note:
                    "Ours: ownership recorded, a boot image made for each disk, the domain defined, started paused, given its"
                    + " first checkpoint and resumed; without the engine's stages and the fence.")
        ],
        prepare: {
            let empty = bench("small.raw")
            try Output(empty).setSize(size)
            let xml = GuestSite.definition("failed-over", uuid: uuid, images: targets.map { bench("\($0).qcow2") })
            for (number, generation) in points.enumerated() {
                try await sites.point(
                    relationship, as: generation, after: number == 0 ? nil : points[number - 1],
                    targets.map {
                        SourceDisk.stopped(
                            empty, "raw", size: size, number == 0 ? .everything : .differing, target: $0)
                    }, number: number + 1, domainXML: xml)
            }
            let made = try await bootDefinition(epoch: 1)
            readyXML.withLock { $0 = made }
        },
        finish: {
            try? await clear()
            try? await sites.b.client.discardBootImages(relationship: relationship, epoch: 1)
            try? await sites.forget(relationship)
            bench.removeFiles("small.raw")
        })
}
