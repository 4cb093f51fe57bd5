import Foundation
import SiteModel

extension AgentService {
    package func openPoint(_ request: OpenPoint) async throws -> PointTicket {
        try await gate.pass(request.relationship) {
            if let earlier = incoming[request.relationship] {
                await Self.end(earlier, ReplicationError.replaced)
                incoming.remove(earlier)
            }
            let record = try records.read(request.relationship)
            let store = try await stores.orNew(
                Manifest(
                    relationship: request.relationship, vmName: request.vm.name, vmUUID: request.vm.uuid,
                    epoch: record?.epoch ?? 0, owner: record?.owner ?? ""))
            guard await store.manifest.vmUUID == request.vm.uuid else {
                throw ReplicationError(
                    .invalidArgument, "relationship \(request.relationship) holds points of another VM",
                    hint: "forget the relationship at this host before the name is used for another VM")
            }
            if let leg = try await openLeg(request, in: store) { return leg }
            let newest = try await newestImages(store)
            let distrusted = try await store.damagedExtents()
            let held = await store.manifest.newestDisks.map { DiskGeometry(target: $0.target, size: $0.size) }
            let draft = try await store.beginPoint(
                generation: request.generation, parent: request.previous,
                disks: request.disks.map { DiskPlan(target: $0.target, size: $0.size) })
            let point = try IncomingPoint(
                relationship: request.relationship, generation: request.generation, draft: draft,
                disks: draft.writers.reduce(into: [:]) { disks, entry in
                    disks[entry.key] = IncomingPoint.Disk(
                        writer: entry.value, newest: newest[entry.key], distrusted: distrusted[entry.key] ?? ExtentMap()
                    )
                })
            incoming.put(point)
            var ticket = ticket(point)
            ticket.held = held
            return ticket
        }
    }

    package func sealPoint(_ request: SealPoint) async throws -> PointSummary {
        try await gate.pass(request.relationship) {
            if let store = try await stores.existing(request.relationship),
                let sealed = await store.manifest.point(request.generation)
            {
                return PointSummary(sealed)
            }
            try checkEpoch(request)
            guard let point = incoming[request.relationship], point.generation == request.generation else {
                throw ReplicationError(
                    .notFound, "generation \(request.generation) is not being received here",
                    hint: "open the point and send it again; earlier points are intact")
            }
            let received = try point.checksums()
            guard received == request.checksums else {
                throw ReplicationError(
                    .checksumMismatch, "what was received is not what the sender says it sent",
                    hint: "open the point and send it again", context: ["generation": request.generation])
            }
            let store: PointStore
            if let export = point.export {
                store = export
            } else {
                store = try await stores.required(request.relationship)
            }
            if await store.manifest.epoch < request.epoch {
                try await store.claim(owner: request.owner, epoch: request.epoch)
            }
            // Before the point is whole: whoever finds it finds what goes with it.
            if let context = request.context { try await store.keep(context: context) }
            let legs = await store.manifest.growing?.legs ?? 1
            let record: RecoveryPointRecord
            do {
                var firmware = request.firmware
                if firmware == nil, let same = request.firmwareOf { firmware = try await store.firmware(same) }
                record = try await point.draft.seal(
                    domainXML: request.domainXML, kind: request.cause, time: request.at,
                    // Of several legs no checksum speaks for the whole disk.
                    number: request.number, checksums: legs > 1 ? [:] : received, firmware: firmware)
            } catch {
                // A draft that failed to seal can only be thrown away.
                incoming.remove(point)
                try? await point.draft.abandon()
                throw error
            }
            incoming.remove(point)
            if let export = point.export {
                try await finish(export)
                return PointSummary(record)
            }
            // With the first point on adopted disks, this direction is whole: nobody reverses from the time before any
            // more.
            if await store.manifest.points.count == 1 { try await store.clearMaps() }
            return PointSummary(record)
        }
    }

    package func abandonPoint(relationship: String, generation: String) async throws {
        await gate.pass(relationship) {
            guard let point = incoming[relationship], point.generation == generation else { return }
            await Self.end(point, ReplicationError.givenUp)
            incoming.remove(point)
        }
    }

    package func points(relationship: String) async throws -> [PointSummary] {
        guard let store = try await stores.existing(relationship) else { return [] }
        return try await store.summaries()
    }

    package func keepPoints(relationship: String, keeping: [String], pinned: [String]) async throws -> [PointSummary] {
        try await gate.pass(relationship) {
            let store = try await stores.required(relationship)
            var held = Set(pinned)
            // A point that is being received may be read against the newest one.
            if incoming[relationship] != nil, let last = await store.manifest.newest { held.insert(last.generation) }
            let all = await store.manifest.points.map(\.generation)
            try await store.retire(
                PointsToRetire.of(all, keeping: keeping, pinned: Array(held)), pinned: held
            ) { [gate] in gate.isAwaited(relationship) }
            return try await store.summaries()
        }
    }

    package func dropPoints(relationship: String, allBut generation: String) async throws {
        try await gate.pass(relationship) {
            let store = try await stores.required(relationship)
            if let point = incoming[relationship] {
                await Self.end(point, ReplicationError.givenUp)
                incoming.remove(point)
            }
            try await store.dropAllBut(generation)
        }
    }

    package func domainXML(relationship: String, generation: String) async throws -> String {
        try await stores.required(relationship).domainXML(generation)
    }

    package func forget(relationship: String) async throws {
        try await gate.pass(relationship) {
            if let point = incoming[relationship] {
                await Self.end(point, ReplicationError.givenUp)
                incoming.remove(point)
            }
            if let store = try await stores.existing(relationship) {
                try await store.destroy()
                await stores.forget(relationship)
            }
            // A VM that runs on goes on reading the drive that it has open.
            removeSeeds(of: relationship) { _ in true }
            try await changing { [records] in try records.remove(relationship) }
        }
    }

    package func extentsNewer(
        relationship: String, than generation: String
    ) async throws -> [String: [ByteRange]] {
        let maps = try await stores.required(relationship).maps(newerThan: generation)
        let limit = Self.extentLimit / max(1, maps.count)
        return maps.mapValues { $0.ranges(atMost: limit) }
    }

    /// The newest state of each disk here: the newest point's, or the adopted disk's before the first.
    private func newestImages(_ store: PointStore) async throws -> [String: DiskImage] {
        let manifest = await store.manifest
        var images: [String: DiskImage] = [:]
        for disk in manifest.disks {
            if let newest = manifest.newest {
                guard newest.disks.contains(where: { $0.target == disk.target }) else { continue }
                if let layer = try await store.chain(of: .point(newest.generation), target: disk.target).first {
                    images[disk.target] = DiskImage(layer)
                }
            } else {
                let path = disk.base.external ? disk.base.path : store.path + "/" + disk.base.path
                images[disk.target] = DiskImage(path: path, format: disk.base.format.rawValue)
            }
        }
        return images
    }

    /// A point made under an ownership that is over must not become one.
    private func checkEpoch(_ request: SealPoint) throws {
        guard let record = try records.read(request.relationship) else { return }
        guard request.epoch > record.epoch || (request.epoch == record.epoch && request.owner == record.owner) else {
            throw ReplicationError(
                .staleEpoch,
                "the point was made by \(request.owner) at epoch \(request.epoch), but \(record.owner) owns the VM at"
                    + " epoch \(record.epoch)",
                hint: "another failover has happened: abandon the point and read the present owner from the vault",
                context: ["relationship": request.relationship])
        }
    }
}

extension PointSummary {
    init(_ record: RecoveryPointRecord) {
        self.init(
            generation: record.generation, previous: record.parent, number: record.number, cause: record.kind,
            at: record.time, bytes: record.disks.reduce(0) { $0 + $1.bytes }, checkedAt: record.checkedAt)
    }
}

extension DiskImage {
    init(_ layer: ImageLayer) {
        self.init(path: layer.path, format: layer.format.rawValue)
    }
}

extension ReplicationError {
    /// A new attempt at a point takes the place of an earlier one.
    static var replaced: ReplicationError {
        ReplicationError(
            .cancelled, "the point was opened anew while it was being sent",
            hint: "let one engine at a time replicate a VM; the newer attempt goes on")
    }
}
