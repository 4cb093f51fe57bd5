package import BlockReplication

/// First copies in legs, at their target.
extension SimulatedAgent {
    package func endLeg(_ request: EndLeg) async throws {
        try await act("end-leg", request.relationship) { state, _ in
            guard var store = state.hosts[host]?.stores[request.relationship], var draft = store.draft,
                draft.request.generation == request.generation, var base = store.growing
            else {
                throw ReplicationError(
                    .notFound, "leg \(request.generation) is not being received here",
                    hint: "open the leg and send it again; earlier legs are intact")
            }
            guard draft.isSent else {
                throw ReplicationError(
                    .invalidArgument, "leg \(request.generation) has not been received whole",
                    hint: "send all disks of the leg, and end it after that")
            }
            guard draft.received.mapValues(\.checksum) == request.checksums else {
                throw ReplicationError(
                    .checksumMismatch, "what was received is not what the sender says it sent",
                    hint: "open the leg and send it again")
            }
            for index in base.disks.indices {
                let disk = base.disks[index]
                guard let frontier = request.frontiers[disk.target], disk.frontier <= frontier, frontier <= disk.size
                else {
                    throw ReplicationError(
                        .invalidArgument, "a leg cannot end where disk \(disk.target) is said to",
                        hint: "send the leg again")
                }
                base.disks[index].frontier = frontier
                base.disks[index].mark = request.marks[disk.target]
            }
            state.hosts[host]?.release(draft.bytes)
            for disk in base.disks {
                let path = state.growingPlace(request.relationship, disk.target, at: host)
                let received = draft.received[disk.target]?.extents ?? VersionedExtents()
                state.hosts[host]?.change(path) { $0.extents.overlay(received) }
                draft.received[disk.target]?.extents = VersionedExtents()
            }
            base.legs += 1
            base.bytes += request.bytes
            base.checkpoint = request.checkpoint
            store.growing = base
            store.draft = base.isWhole ? draft : nil
            if !base.isWhole { state.truth[request.generation] = nil }
            state.hosts[host]?.stores[request.relationship] = store
        }
    }
}

extension WorldState {
    /// Where a disk of a first copy grows.
    func growingPlace(_ relationship: String, _ disk: String, at host: String) -> String {
        place(relationship, "base-\(disk).raw.part", at: host)
    }

    /// The base that a leg goes on with; nil where the request is for no leg, which ends one that was begun.
    mutating func growingBase(for request: OpenPoint, at host: String) -> GrowingBase? {
        guard let store = hosts[host]?.stores[request.relationship] else { return nil }
        let begins = request.inLegs == true && store.layers.isEmpty && store.adopted.isEmpty
        if begins, let base = store.growing,
            Set(base.disks.map { DiskGeometry(target: $0.target, size: $0.size) }) == Set(request.disks)
        {
            return base
        }
        dropGrowing(request.relationship, at: host)
        guard begins else { return nil }
        let base = GrowingBase(disks: request.disks.map { GrowingDisk(target: $0.target, size: $0.size) })
        for disk in base.disks {
            let path = growingPlace(request.relationship, disk.target, at: host)
            hosts[host]?.put(SimulatedFile(size: disk.size, format: "raw"), at: path)
        }
        hosts[host]?.stores[request.relationship]?.growing = base
        return base
    }

    /// Throws a first copy away that is not whole.
    mutating func dropGrowing(_ relationship: String, at host: String) {
        for disk in hosts[host]?.stores[relationship]?.growing?.disks ?? [] {
            let path = growingPlace(relationship, disk.target, at: host)
            hosts[host]?.remove(path)
        }
        hosts[host]?.stores[relationship]?.growing = nil
    }
}
