import BlockReplication
import Hypervisors
import SiteModel
import Synchronization

extension FakeAgent {
    func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        try await fuse.effect("\(host).send-point") {
            let (sources, parents, pause, growing, most) = try world.change { state in
                let sources = try request.disks.map { try state.read($0, at: host) }
                let target = try state.agentHost(request.ticket.address)
                let parents = target.stores[request.ticket.relationship]?.newest ?? [:]
                state.truth[request.ticket.generation] = Dictionary(
                    uniqueKeysWithValues: zip(request.disks.map(\.target), sources.map(\.blocks)))
                let growing = target.stores[request.ticket.relationship]?.growing
                return (sources, parents, state.midTransfer, growing, state.legBlocks ?? .max)
            }
            await pause?()
            if Task.isCancelled { throw ReplicationError(.cancelled, "the transfer was ended", hint: "begin it anew") }
            for disk in request.disks { try world.change { _ = try $0.read(disk, at: host) } }
            var moved = 0
            var leg: LegSummary?
            for (disk, source) in zip(request.disks, sources) {
                let parent = growing?.content[disk.target] ?? parents[disk.target] ?? [:]
                let all = Set(source.blocks.keys).union(parent.keys)
                var selected = source.selected ?? all.filter { source.blocks[$0] != parent[$0] }
                if let start = disk.leg, request.ticket.base != nil {
                    let frontier = Int(start.frontier / blockSize)
                    let changed = source.changed ?? all.filter { source.blocks[$0] != parent[$0] }
                    let onward = source.blocks.keys.filter { $0 >= frontier }.sorted()
                    let next = onward.count > most ? UInt64(onward[most]) * blockSize : disk.size
                    let renewed = changed.filter { $0 < frontier }
                    selected = renewed.union(onward.prefix(most))
                    leg = leg ?? LegSummary(frontiers: [:])
                    leg?.renewed += UInt64(renewed.count) * blockSize
                    leg?.frontiers[disk.target] = next
                }
                var content = parent
                for block in selected { content[block] = source.blocks[block] }
                moved += selected.count
                try world.change { state in
                    try state.deliver(content, selected, of: disk.target, for: request.ticket, from: host)
                }
            }
            let total = UInt64(moved) * blockSize
            progress(TransferProgress(done: total, total: total, bytesPerSecond: 1))
            return TransferSummary(bytes: total, scanned: total, seconds: 1, checksums: [:], leg: leg)
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

private func ranges(_ blocks: Set<Int>) -> [ByteRange] {
    blocks.sorted().map { ByteRange(offset: UInt64($0) * blockSize, length: blockSize) }
}

extension WorldState {
    /// What a disk holds at this instant, and which of its blocks travel; nil for "those that differ".
    ///
    /// `changed` is what a leg's bitmap tells, where there is one.
    fileprivate func read(
        _ disk: SourceDisk, at host: String
    ) throws -> (blocks: Blocks, selected: Set<Int>?, changed: Set<Int>?) {
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
        if let leg = disk.leg {
            let changed = leg.isTracked ? leg.bitmap.map { file?.bitmaps[$0] } ?? backup?.changed[disk.target] : nil
            return (blocks, Set(blocks.keys), changed)
        }
        switch disk.extents {
        case .everything: return (blocks, Set(blocks.keys), nil)
        case .differing: return (blocks, nil, nil)
        case .changed(let bitmap, let also):
            let changed = bitmap.map { file?.bitmaps[$0] } ?? backup?.changed[disk.target]
            guard let changed else {
                throw ReplicationError(.noUsableBitmap, "no bitmap for \(disk.target)", hint: "compare instead")
            }
            return (blocks, changed.union(Self.blocks(also)), nil)
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
