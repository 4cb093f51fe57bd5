import BlockReplication
import Hypervisors
import SiteModel
import Synchronization

/// The agent at one host of the world, as one engine sees it.
struct FakeAgent: Agent {
    let world: FakeWorld
    let host: String
    let fuse: Fuse

    private func look<Result>(_ body: (FakeHost) throws -> Result) throws -> Result {
        try fuse.checkAlive()
        return try world.state.withLock { try body($0.agentHost(host)) }
    }

    private func act<Result>(
        _ name: String, _ relationship: String, _ body: (inout FakeStore, inout WorldState) throws -> Result
    ) async throws -> Result {
        try await fuse.effect("\(host).\(name)") {
            try world.change { state in
                var store = try state.agentHost(host).stores[relationship] ?? FakeStore()
                let result = try body(&store, &state)
                state.hosts[host]?.stores[relationship] = store
                return result
            }
        }
    }

    func status() async throws -> AgentStatus {
        try fuse.checkAlive()
        return try world.state.withLock { state in
            let host = try state.answeringHost(self.host)
            return AgentStatus(
                site: self.host, version: "1", processID: 1, store: "/store",
                freeBytes: UInt64(host.freeBlocks) * blockSize)
        }
    }

    // MARK: Ownership

    func recordOwnership(_ record: OwnershipRecord) async throws {
        try await act("record-ownership", record.relationship) { store, state in
            if state.hosts[host]?.damagedRecords.contains(record.relationship) == true {
                throw ReplicationError(.damaged, "the record cannot be read", hint: "remove it")
            }
            if let present = store.ownership {
                guard record.epoch > present.epoch || record == present else {
                    throw ReplicationError(.staleEpoch, "epoch \(record.epoch) is over", hint: "look at the vault")
                }
            }
            store.ownership = record
            state.hosts[host]?.unconfirmed.remove(record.relationship)
        }
    }

    func ownership(relationship: String) async throws -> OwnershipRecord? {
        try look { $0.stores[relationship]?.ownership }
    }

    func standings() async throws -> [OwnershipStanding] {
        try look { host in
            host.stores.sorted { $0.key < $1.key }.compactMap { relationship, store in
                if host.damagedRecords.contains(relationship) {
                    return OwnershipStanding(
                        fault: UnreadableRecord(
                            relationship: relationship, message: "the record cannot be read", hint: "remove it"))
                }
                return store.ownership.map {
                    OwnershipStanding(record: $0, isConfirmed: !host.unconfirmed.contains(relationship))
                }
            }
        }
    }

    func forgetOwnership(relationship: String) async throws {
        try await act("forget-ownership", relationship) { store, _ in store.ownership = nil }
    }

    // MARK: Points

    func openPoint(_ request: OpenPoint) async throws -> PointTicket {
        try await act("open-point", request.relationship) { store, _ in
            guard request.previous == store.points.last?.summary.generation else {
                throw ReplicationError(
                    .staleParent, "\(request.previous ?? "none") is not the newest point", hint: "ask which one is")
            }
            store.draft = FakeDraft(request: request)
            store.exportFolder = nil
            return PointTicket(
                relationship: request.relationship, generation: request.generation, token: "t", address: host)
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
                    backing: previous.map { pointPath(request.relationship, $0.summary.generation, target) }
                        ?? store.basePaths[target])
            }
            store.points.append(
                FakePoint(summary: summary, content: draft.content, extents: draft.extents, xml: request.domainXML))
            store.draft = nil
            return summary
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

    func keepPoints(relationship: String, newest: Int, pinned: [String]) async throws -> [PointSummary] {
        try await act("keep-points", relationship) { store, _ in
            let last = store.points.suffix(newest).map(\.summary.generation)
            var kept: [FakePoint] = []
            var merged: [String: Set<Int>] = [:]
            for var point in store.points {
                point.extents.merge(merged) { $0.union($1) }
                if last.contains(point.summary.generation) || pinned.contains(point.summary.generation) {
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

    // MARK: Images

    func createBootImages(relationship: String, generation: String, epoch: Int) async throws -> [BootImage] {
        try await act("create-boot", relationship) { store, state in
            if let boot = store.boots[epoch] {
                guard boot.generation == generation else {
                    throw ReplicationError(.busy, "epoch \(epoch) stands on another point", hint: "discard it")
                }
                return boot.images
            }
            guard let point = store.points.first(where: { $0.summary.generation == generation }) else {
                throw ReplicationError(.notFound, "no point \(generation)", hint: "ask which there are")
            }
            // The whole chain is named, down to what lies beneath a disk that the VM had before it was protected.
            let images = point.content.keys.sorted().map { target in
                let path = "/store/points/\(relationship)/boot-\(epoch)-\(target).img"
                state.hosts[host]?.files[path] = FakeFile(
                    blocks: [:], backing: pointPath(relationship, generation, target))
                return BootImage(target: target, chain: state.chain(path, at: host).map { state.image($0, at: host) })
            }
            store.boots[epoch] = FakeBoot(generation: generation, images: images)
            return images
        }
    }

    func writeSeed(_ seed: GuestSeed) async throws -> String {
        let path = "/store/seeds/\(seed.relationship)-e\(seed.epoch).iso"
        _ = try SeedImage.bytes(seed.files)
        return try await act("write-seed", seed.relationship) { store, state in
            store.seeds[seed.epoch] = seed.files
            state.hosts[host]?.files[path] = FakeFile(blocks: [:])
            return path
        }
    }

    func discardBootImages(relationship: String, epoch: Int) async throws {
        try await act("discard-boot", relationship) { store, state in
            for image in store.boots[epoch]?.images ?? [] {
                if state.standsUnderARunningVM(image.chain[0].path, at: host) {
                    state.violate("the disk of a running VM is thrown away")
                }
                state.hosts[host]?.files[image.chain[0].path] = nil
            }
            store.boots[epoch] = nil
            if store.seeds.removeValue(forKey: epoch) != nil {
                let path = "/store/seeds/\(relationship)-e\(epoch).iso"
                if state.standsUnderARunningVM(path, at: host) {
                    state.violate("the drive of a running VM is thrown away")
                }
                state.hosts[host]?.files[path] = nil
            }
        }
    }

    func adoptDisks(relationship: String, vm: VMIdentity, disks: [AdoptedDisk]) async throws {
        try await act("adopt-disks", relationship) { store, state in
            var base: [String: Blocks] = [:]
            for disk in disks {
                guard let content = state.content(disk.image.path, at: host) else {
                    throw ReplicationError(.notFound, "no file \(disk.image.path)", hint: "restore it")
                }
                if state.isInUse(disk.image.path, at: host) {
                    throw ReplicationError(.busy, "\(disk.image.path) is in use", hint: "stop the VM")
                }
                base[disk.target] = content
            }
            store.base = base
            store.basePaths = Dictionary(uniqueKeysWithValues: disks.map { ($0.target, $0.image.path) })
            store.boots = [:]
            store.points = []
            store.retired = []
            store.draft = nil
        }
    }

    func settleDisks(relationship: String, disks: [AdoptedDisk]) async throws {
        try await act("settle-disks", relationship) { store, state in
            for disk in disks where state.hosts[host]?.files[disk.image.path] == nil {
                throw ReplicationError(.notFound, "no file \(disk.image.path)", hint: "restore it")
            }
            if !state.peerHolds(relationship, besides: host) { state.violate("the last good copy is given up") }
            state.removeFiles(of: relationship, besides: disks.map(\.image.path), at: host)
            store.base = [:]
            store.basePaths = [:]
            store.points = []
            store.retired = []
            store.boots = [:]
        }
    }

    // MARK: Sending

    func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        try await fuse.effect("\(host).send-point") {
            let (sources, parents, pause) = try world.change { state in
                let sources = try request.disks.map { try state.read($0, at: host) }
                let target = try state.agentHost(request.ticket.address)
                let parents = target.stores[request.ticket.relationship]?.newest ?? [:]
                state.truth[request.ticket.generation] = Dictionary(
                    uniqueKeysWithValues: zip(request.disks.map(\.target), sources.map(\.blocks)))
                return (sources, parents, state.midTransfer)
            }
            await pause?()
            if Task.isCancelled { throw ReplicationError(.cancelled, "the transfer was ended", hint: "begin it anew") }
            for disk in request.disks { try world.change { _ = try $0.read(disk, at: host) } }
            var moved = 0
            for (disk, source) in zip(request.disks, sources) {
                let parent = parents[disk.target] ?? [:]
                let all = Set(source.blocks.keys).union(parent.keys)
                let selected = source.selected ?? all.filter { source.blocks[$0] != parent[$0] }
                var content = parent
                for block in selected { content[block] = source.blocks[block] }
                moved += selected.count
                try world.change { state in
                    try state.deliver(content, selected, of: disk.target, for: request.ticket, from: host)
                }
            }
            let total = UInt64(moved) * blockSize
            progress(TransferProgress(done: total, total: total, bytesPerSecond: 1))
            return TransferSummary(bytes: total, scanned: total, seconds: 1, checksums: [:])
        }
    }

    func changedExtents(image: DiskImage, bitmap: String) async throws -> [ByteRange]? {
        try fuse.checkAlive()
        return try world.state.withLock { state in
            let file = try state.agentHost(host).files[image.path]
            if state.isInUse(image.path, at: host) {
                throw ReplicationError(.busy, "\(image.path) is in use", hint: "stop the VM")
            }
            return file?.bitmaps[bitmap].map(ranges)
        }
    }

    func extentsNewer(relationship: String, than generation: String) async throws -> [String: [ByteRange]] {
        try look { host in
            let store = host.stores[relationship] ?? FakeStore()
            let all = store.points + store.retired
            guard let chosen = all.first(where: { $0.summary.generation == generation }) else {
                throw ReplicationError(.notFound, "nothing is known of \(generation)", hint: "compare the disks")
            }
            var newer: [String: Set<Int>] = [:]
            for point in all where point.summary.number > chosen.summary.number {
                newer.merge(point.extents) { $0.union($1) }
            }
            return newer.mapValues(ranges)
        }
    }

    func probe(_ request: HTTPProbe) async throws -> HTTPProbeResult {
        throw ReplicationError(.unsupported, "nobody listens in this world", hint: "look at the power state")
    }
}

private func pointPath(_ relationship: String, _ generation: String, _ target: String) -> String {
    "/store/points/\(relationship)/\(generation)-\(target).img"
}

/// What a layer holds so that `content` is read through it: zeros where only the layer beneath has something.
private func difference(_ content: Blocks, over beneath: Blocks) -> Blocks {
    var own = content.filter { beneath[$0.key] != $0.value }
    for block in beneath.keys where content[block] == nil { own[block] = 0 }
    return own
}

private func ranges(_ blocks: Set<Int>) -> [ByteRange] {
    blocks.sorted().map { ByteRange(offset: UInt64($0) * blockSize, length: blockSize) }
}

extension WorldState {
    func agentHost(_ id: String) throws -> FakeHost {
        let host = try answeringHost(id)
        if host.ailments.contains(.agentCallsHang) {
            throw ReplicationError(.timedOut, "the agent of \(id) does not come to an end", hint: "look at its disk")
        }
        return host
    }

    fileprivate func answeringHost(_ id: String) throws -> FakeHost {
        guard let host = hosts[id], host.isReachable else {
            throw ReplicationError(.disconnected, "the agent of \(id) does not answer", hint: "start it")
        }
        if host.ailments.contains(.agentHangs) {
            throw ReplicationError(.timedOut, "the agent of \(id) does not come to an end", hint: "look at its disk")
        }
        return host
    }

    /// A file as a chain names it: the lowest one of a chain of points is raw.
    fileprivate func image(_ path: String, at host: String) -> DiskImage {
        let isFirstPoint = path.hasPrefix("/store/") && hosts[host]?.files[path]?.backing == nil
        return DiskImage(path: path, format: isFirstPoint ? "raw" : "qcow2")
    }

    /// What a disk holds at this instant, and which of its blocks travel; nil for "those that differ".
    fileprivate func read(_ disk: SourceDisk, at host: String) throws -> (blocks: Blocks, selected: Set<Int>?) {
        let blocks: Blocks
        var backup: FakeBackup?
        var file: FakeFile?
        switch disk.from {
        case .export(let socket, let name):
            backup = try agentHost(host).domains.values.compactMap(\.backup).first { $0.request.socket == socket }
            guard let frozen = backup?.frozen[name] else {
                throw ReplicationError(.nbd, "nobody serves \(name) at \(socket)", hint: "begin a backup")
            }
            blocks = frozen
        case .image(let image):
            file = try agentHost(host).files[image.path]
            guard file != nil, !isInUse(image.path, at: host) else {
                throw ReplicationError(.busy, "\(image.path) is in use or missing", hint: "stop the VM")
            }
            blocks = content(image.path, at: host) ?? [:]
        }
        switch disk.extents {
        case .everything: return (blocks, Set(blocks.keys))
        case .differing: return (blocks, nil)
        case .changed(let bitmap, let also):
            let changed = bitmap.map { file?.bitmaps[$0] } ?? backup?.changed[disk.target]
            guard let changed else {
                throw ReplicationError(.noUsableBitmap, "no bitmap for \(disk.target)", hint: "compare instead")
            }
            return (blocks, changed.union(Self.blocks(also)))
        }
    }

    private static func blocks(_ ranges: [ByteRange]) -> Set<Int> {
        Set(ranges.flatMap { Int($0.offset / blockSize)..<Int(($0.offset + $0.length) / blockSize) })
    }

    fileprivate mutating func deliver(
        _ content: Blocks, _ selected: Set<Int>, of disk: String, for ticket: PointTicket, from sender: String
    ) throws {
        _ = try agentHost(sender)
        guard var store = try agentHost(ticket.address).stores[ticket.relationship],
            store.draft?.request.generation == ticket.generation
        else { throw ReplicationError(.notAuthorized, "the ticket is no longer good", hint: "open the point again") }
        guard let free = hosts[ticket.address]?.freeBlocks, free >= selected.count else {
            throw ReplicationError(.noSpace, "the store of \(ticket.address) is full", hint: "free space")
        }
        hosts[ticket.address]?.freeBlocks -= selected.count
        sent[ticket.generation, default: 0] += selected.count
        store.draft?.content[disk] = content
        store.draft?.extents[disk] = selected
        hosts[ticket.address]?.stores[ticket.relationship] = store
    }
}
