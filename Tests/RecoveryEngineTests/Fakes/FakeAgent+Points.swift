import BlockReplication
import SiteModel

extension FakeAgent {
    func openPoint(_ request: OpenPoint) async throws -> PointTicket {
        try await act("open-point", request.relationship) { store, state in
            guard request.previous == store.points.last?.summary.generation else {
                throw ReplicationError(
                    .staleParent, "\(request.previous ?? "none") is not the newest point", hint: "ask which one is")
            }
            store.draft = FakeDraft(request: request)
            store.exportFolder = nil
            var ticket = PointTicket(
                relationship: request.relationship, generation: request.generation, token: "t", address: host)
            ticket.held = store.newest.keys.sorted().map {
                DiskGeometry(target: $0, size: store.sizes[$0] ?? UInt64(diskBlocks) * blockSize)
            }
            if state.hosts[host]?.hasOldAgent == true { ticket.held = nil }
            if request.inLegs == true, state.legBlocks != nil, store.points.isEmpty, store.base.isEmpty {
                let fresh = GrowingBase(disks: request.disks.map { GrowingDisk(target: $0.target, size: $0.size) })
                let growing = store.growing ?? FakeGrowing(base: fresh)
                store.growing = growing
                ticket.base = growing.base
            }
            return ticket
        }
    }

    func sealPoint(_ request: SealPoint) async throws -> PointSummary {
        try await act("seal-point", request.relationship) { store, state in
            if let there = store.points.first(where: { $0.summary.generation == request.generation }) {
                return there.summary
            }
            guard request.epoch >= store.ownership?.epoch ?? 0 else {
                throw ReplicationError(.staleEpoch, "epoch \(request.epoch) is over", hint: "look at the vault")
            }
            guard let draft = store.draft, draft.request.generation == request.generation,
                Set(draft.content.keys) == Set(draft.request.disks.map(\.target))
            else { throw ReplicationError(.notFound, "the point is not received", hint: "send it") }
            if let growing = store.growing, !growing.base.isWhole {
                throw ReplicationError(.invalidArgument, "the first copy is not whole", hint: "send more legs")
            }
            if draft.content != state.truth[request.generation] {
                state.violate("point \(request.number) at \(host) is not what the source held at its instant")
            }
            // As the store does: numbers go up at a host, whatever the vault remembers.
            let number = max(store.nextNumber, request.number)
            store.nextNumber = number + 1
            let summary = PointSummary(
                generation: request.generation, previous: draft.request.previous, number: number,
                cause: request.cause, at: request.at, bytes: UInt64(state.sent[request.generation] ?? 0) * blockSize)
            if let folder = store.exportFolder {
                state.media[folder] = FakePoint(
                    summary: summary, content: draft.content, extents: draft.extents, xml: request.domainXML)
                (store.draft, store.exportFolder) = (nil, nil)
                return summary
            }
            let previous = store.points.last
            for (target, content) in draft.content {
                let beneath = previous?.content[target] ?? store.base[target] ?? [:]
                state.hosts[host]?.files[pointPath(request.relationship, request.generation, target)] = FakeFile(
                    blocks: difference(content, over: beneath),
                    backing: previous.flatMap {
                        $0.content[target] == nil
                            ? nil : pointPath(request.relationship, $0.summary.generation, target)
                    } ?? (previous == nil ? store.basePaths[target] : nil))
                let size = draft.request.disks.first { $0.target == target }?.size
                state.hosts[host]?.files[pointPath(request.relationship, request.generation, target)]?.size =
                    size ?? UInt64(diskBlocks) * blockSize
                store.sizes[target] = size
            }
            store.growing = nil
            store.points.append(
                FakePoint(
                    summary: summary, content: draft.content, extents: draft.extents, xml: request.domainXML,
                    firmware: request.firmware
                        ?? store.points.first { $0.summary.generation == request.firmwareOf }?.firmware))
            store.draft = nil
            return summary
        }
    }

    func endLeg(_ request: EndLeg) async throws {
        try await act("end-leg", request.relationship) { store, _ in
            guard let draft = store.draft, draft.request.generation == request.generation,
                Set(draft.content.keys) == Set(draft.request.disks.map(\.target)), var growing = store.growing
            else { throw ReplicationError(.notFound, "the leg is not received", hint: "send it") }
            for index in growing.base.disks.indices {
                let target = growing.base.disks[index].target
                growing.base.disks[index].frontier = request.frontiers[target] ?? 0
                growing.base.disks[index].mark = request.marks[target]
            }
            growing.base.legs += 1
            growing.base.bytes += request.bytes
            growing.base.checkpoint = request.checkpoint
            growing.content = draft.content
            store.growing = growing
            if !growing.base.isWhole { store.draft = nil }
        }
    }

    func openExport(_ request: ExportPoint) async throws -> PointTicket {
        try await act("open-export", request.point.relationship) { store, _ in
            guard request.folder.hasPrefix("/media/") else {
                throw ReplicationError(.notFound, "there is no folder \(request.folder)", hint: "mount it")
            }
            store.draft = FakeDraft(request: request.point)
            store.exportFolder = "\(request.folder)/\(request.name)"
            return PointTicket(
                relationship: request.point.relationship, generation: request.point.generation, token: "t",
                address: host)
        }
    }

    func importPoint(_ request: ImportPoint) async throws -> PointSummary {
        try await act("import-point", request.relationship) { store, state in
            if let there = store.points.first(where: { $0.summary.generation == request.generation }) {
                return there.summary
            }
            guard let point = state.media["\(request.folder)/\(request.name)"],
                point.summary.generation == request.generation, store.points.isEmpty
            else { throw ReplicationError(.damaged, "no such copy in \(request.folder)", hint: "carry it") }
            for (target, content) in point.content {
                state.hosts[host]?.files[pointPath(request.relationship, request.generation, target)] = FakeFile(
                    blocks: content)
            }
            store.points = [point]
            store.nextNumber = max(store.nextNumber, point.summary.number + 1)
            return point.summary
        }
    }

    func abandonPoint(relationship: String, generation: String) async throws {
        try await act("abandon-point", relationship) { store, _ in
            if store.draft?.request.generation == generation { store.draft = nil }
        }
    }

    func points(relationship: String) async throws -> [PointSummary] {
        try look { $0.stores[relationship]?.points.map(\.summary) ?? [] }
    }

    func keepPoints(relationship: String, keeping: [String], pinned: [String]) async throws -> [PointSummary] {
        try await act("keep-points", relationship) { store, _ in
            let retired = try PointsToRetire.of(
                store.points.map(\.summary.generation), keeping: keeping, pinned: pinned)
            var kept: [FakePoint] = []
            var merged: [String: Set<Int>] = [:]
            for var point in store.points {
                point.extents.merge(merged) { $0.union($1) }
                if !retired.contains(point.summary.generation) {
                    kept.append(point)
                    merged = [:]
                } else {
                    merged = point.extents
                }
            }
            store.points = kept
            return kept.map(\.summary)
        }
    }

    func dropPoints(relationship: String, allBut generation: String) async throws {
        try await act("drop-points", relationship) { store, _ in
            guard let chosen = store.points.first(where: { $0.summary.generation == generation }) else {
                throw ReplicationError(.notFound, "no point \(generation)", hint: "ask which there are")
            }
            store.retired += store.points.filter { $0.summary.number > chosen.summary.number }
            store.points = [chosen]
        }
    }

    func domainXML(relationship: String, generation: String) async throws -> String {
        try look { host in
            guard let point = host.stores[relationship]?.points.first(where: { $0.summary.generation == generation })
            else { throw ReplicationError(.notFound, "no point \(generation)", hint: "ask which there are") }
            return point.xml
        }
    }

    func forget(relationship: String) async throws {
        try await act("forget", relationship) { store, state in
            for image in store.boots.values.flatMap(\.images)
            where state.standsUnderARunningVM(image.chain[0].path, at: host) {
                throw ReplicationError(.busy, "\(image.chain[0].path) is in use", hint: "stop the VM")
            }
            state.removeFiles(of: relationship, besides: [], at: host)
            store = FakeStore()
        }
    }
}

func pointPath(_ relationship: String, _ generation: String, _ target: String) -> String {
    "/store/points/\(relationship)/\(generation)-\(target).img"
}

/// What a layer holds so that `content` is read through it: zeros where only the layer beneath has something.
private func difference(_ content: Blocks, over beneath: Blocks) -> Blocks {
    var own = content.filter { beneath[$0.key] != $0.value }
    for block in beneath.keys where content[block] == nil { own[block] = 0 }
    return own
}
