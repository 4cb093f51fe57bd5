import BlockReplication
import Hypervisors
import SiteModel
import Simulation

/// What the engine asks of the drivers in a cycle and in a failover, without the engine: the simulated site's own speed.
struct DriverCycles: Sendable {
    let world: World
    let source: SimulatedHypervisor
    let target: SimulatedHypervisor
    let sender: SimulatedAgent
    let receiver: SimulatedAgent
    let name: String
    let uuid: String

    init(_ world: World, _ name: String) {
        self.world = world
        self.name = name
        uuid = NewVM.uuid(name)
        source = SimulatedHypervisor(world: world, host: "a")
        target = SimulatedHypervisor(world: world, host: "b")
        sender = SimulatedAgent(world: world, host: "a")
        receiver = SimulatedAgent(world: world, host: "b")
    }

    /// One point; returns its generation, whose checkpoint the next one goes on from.
    func point(_ number: Int, after previous: String?) async throws -> String {
        let generation = world.identifiers.next()
        guard let domain = try await source.domain(uuid: uuid) else { throw BenchError(what: "no VM \(name)") }
        let xml = try await source.inactiveXML(uuid: uuid)
        _ = try await sender.status()
        let disks = domain.disks.map { DiskGeometry(target: $0.target, size: $0.size ?? 0) }
        let ticket = try await receiver.openPoint(
            OpenPoint(
                relationship: uuid, vm: VMIdentity(name: name, uuid: uuid), generation: generation, previous: previous,
                disks: disks))
        _ = try await source.checkpoints(uuid: uuid)
        let socket = "/sockets/\(generation.prefix(8)).sock"
        let at = world.clock.now
        try await source.beginBackup(
            uuid: uuid,
            BackupRequest(
                since: previous, checkpoint: generation, socket: socket, scratchFolder: "/scratch",
                disks: disks.map(\.target)))
        let summary = try await sender.sendPoint(
            SendPoint(
                ticket: ticket,
                disks: disks.map { disk in
                    SourceDisk(
                        target: disk.target, size: disk.size, from: .export(socket: socket, name: disk.target),
                        extents: previous == nil ? .everything : .changed(bitmap: nil, also: []))
                })
        ) { _ in }
        try await source.endBackup(uuid: uuid)
        _ = try await receiver.sealPoint(
            SealPoint(
                relationship: uuid, generation: generation, number: number, cause: .crashConsistent, at: at, epoch: 1,
                owner: "a", domainXML: xml, checksums: summary.checksums))
        if let previous { try await source.deleteCheckpoint(uuid: uuid, name: previous, metadataOnly: false) }
        let kept = try await receiver.points(relationship: uuid).suffix(3).map(\.generation)
        _ = try await receiver.keepPoints(relationship: uuid, keeping: kept, pinned: [])
        return generation
    }

    func failOver(to generation: String) async throws {
        try await receiver.recordOwnership(
            OwnershipRecord(relationship: uuid, vmUUID: uuid, owner: "b", epoch: 2))
        let images = try await receiver.createBootImages(relationship: uuid, generation: generation, epoch: 2)
        var definition = try DomainDefinition(
            xml: await receiver.domainXML(relationship: uuid, generation: generation))
        definition.removeHostState()
        for image in images {
            try definition.setDisk(
                image.target, chain: image.chain.map { DomainDefinition.Layer(path: $0.path, format: $0.format) })
        }
        try await target.define(xml: definition.xml)
        try await target.start(uuid: uuid, paused: true)
        try await target.createCheckpoint(uuid: uuid, name: "boot-2", disks: images.map(\.target))
        try await target.resume(uuid: uuid)
    }
}
