import BlockReplication
import Hypervisors
package import SiteModel

/// A VM's replication as a vault has it, to be stood up in a world.
package struct StandingReplication: Sendable {
    package var relationship: Relationship
    /// Oldest first.
    package var points: [RecoveryPoint]
    /// Names of the hosts, which are what a world knows them by.
    package var sourceName: String
    package var targetName: String
    /// The definition that each point carries, where the VM is not at its source in this world.
    package var definition: String?

    package init(
        relationship: Relationship, points: [RecoveryPoint], sourceName: String, targetName: String,
        definition: String? = nil
    ) {
        self.relationship = relationship
        self.points = points
        self.sourceName = sourceName
        self.targetName = targetName
        self.definition = definition
    }
}

extension World {
    /// Puts what a vault knows of a VM's replication into the world: marks, the source's checkpoint, the target's points.
    ///
    /// Each point reads like the source's disks do now: what was written between them nobody can tell.
    ///
    /// - Returns: why it cannot be stood up, as the rest of a sentence about the VM; nil when it was.
    package func stand(_ replication: StandingReplication) -> String? {
        let (relationship, now) = (replication.relationship, clock.now)
        guard relationship.failover == nil, !replication.points.isEmpty, relationship.growing == nil else {
            return relationship.points(of: replication)
        }
        return change { state in
            let (source, target) = (replication.sourceName, replication.targetName)
            guard state.hosts[source] != nil, state.hosts[target] != nil else { return "has a host that is not there" }
            let uuid = relationship.vmUUID
            let domain = state.hosts[source]?.domains[uuid]
            guard let xml = domain?.storedXML ?? replication.definition else {
                return "is not at its source, and no point's definition can be read"
            }
            let mark = Ownership(
                relationship: relationship.id, owner: relationship.owner, epoch: relationship.epoch)
            if domain != nil {
                try? state.hosts[source]?.domains[uuid]?.stored?.setOwnership(mark)
                if let name = relationship.checkpoint {
                    state.hosts[source]?.domains[uuid]?.checkpoints = [
                        .init(name: name, disks: relationship.disks.map(\.target))
                    ]
                    for disk in relationship.disks {
                        guard let path = domain?.path(of: disk.target) else { continue }
                        state.hosts[source]?.change(path) { $0.bitmaps = [Bitmap(name: name)] }
                    }
                }
            }
            for host in [source, target] {
                state.hosts[host]?.ownership[relationship.id] = OwnershipRecord(
                    relationship: relationship.id, vmUUID: uuid, owner: relationship.owner, epoch: relationship.epoch,
                    host: host == source ? relationship.source : relationship.target)
                state.hosts[host]?.confirmed.insert(relationship.id)
            }
            state.keepPoints(replication, xml, now)
            return nil
        }
    }
}

extension Relationship {
    fileprivate func points(of replication: StandingReplication) -> String? {
        if failover != nil { return "is failed over, and not committed" }
        if growing != nil { return "has a first copy under way" }
        return state == .protected ? "has no point in the vault" : nil
    }
}

extension WorldState {
    fileprivate mutating func keepPoints(_ replication: StandingReplication, _ xml: String, _ now: Timestamp) {
        let (relationship, target) = (replication.relationship, replication.targetName)
        let domain = hosts[replication.sourceName]?.domains[relationship.vmUUID]
        var store = SimulatedStore(vm: VMIdentity(name: relationship.name, uuid: relationship.vmUUID))
        (store.owner, store.epoch) = (relationship.owner, relationship.epoch)
        store.disks = relationship.disks.map { DiskGeometry(target: $0.target, size: $0.size) }
        store.nextNumber = relationship.lastPointNumber + 1
        for point in replication.points {
            var summary = PointSummary(
                generation: point.id, previous: point.previous, number: point.number, cause: point.cause, at: point.at,
                bytes: point.bytes, damage: point.damage, checkedAt: point.checkedAt)
            summary.previous = store.newest?.generation
            var layer = SimulatedStore.Layer(summary: summary, files: [:], extents: [:], xml: xml)
            for disk in relationship.disks {
                let below = store.top(of: disk.target)
                let name = below == nil ? "base-\(disk.target).raw" : "\(point.id)-\(disk.target).qcow2"
                let place = place(relationship.id, name, at: target)
                let path = domain?.path(of: disk.target) ?? ""
                let origin = hosts[replication.sourceName]?.files[path]
                let content = hosts[replication.sourceName]?.content(path)?.flattened
                var file = SimulatedFile(size: disk.size, format: below == nil ? "raw" : "qcow2", backing: below)
                if below == nil, let content { file.extents = content }
                file.mark = origin?.mark ?? WriteMark()
                hosts[target]?.put(file, at: place)
                layer.files[disk.target] = place
                layer.extents[disk.target] = []
            }
            store.layers.append(layer)
        }
        hosts[target]?.stores[relationship.id] = store
    }
}
