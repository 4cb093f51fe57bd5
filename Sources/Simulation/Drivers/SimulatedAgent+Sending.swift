package import BlockReplication
internal import Hypervisors
package import SiteModel

/// What one disk's part of a transfer comes to, decided at the instant that is sent.
private struct Load: Sendable {
    var target: String
    var delta: VersionedExtents
    var granules: Set<Int>
    var mark: WriteMark
    var scanned: UInt64
    var truth: LayeredContent
    /// What lies beyond a leg's frontier, as far as the leg goes, and where that is; nil when all travels.
    var onward: VersionedExtents?
    var frontier: UInt64?
    /// Mark of a file at rest that a leg reads.
    var fileMark: String?

    var byteCount: UInt64 { delta.byteCount + (onward?.byteCount ?? 0) }

    /// Leaves out what does not fit into this share of the way beyond the frontier; a piece always does.
    mutating func cut(to share: Double, size: UInt64) {
        guard let all = onward else { return }
        let bytes = max(UInt64(Double(all.byteCount) * share), min(all.byteCount, Bitmap.granule))
        guard let end = all.end(ofFirst: bytes, grid: Bitmap.granule), end < size else { return frontier = size }
        (onward, frontier) = (all.slice(0, end), end)
    }

    func checksum(_ ticket: PointTicket) -> String {
        var hash = SplitMix.seed(ticket.generation, UInt64(delta.runs.count))
        for run in delta.runs + (onward?.runs ?? []) {
            hash = (hash ^ run.offset ^ run.stamp.version) &* 0x100_0000_01B3
        }
        return String(hash, radix: 16)
    }
}

extension SimulatedAgent {
    /// The longest a transfer goes on without a look at what has happened meanwhile, in seconds.
    private static var slice: Double { 1 }
    /// The same for a leg, which ends when its time or its scratch space does.
    private static var legSlice: Double { 0.25 }

    package func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        let began = world.clock.now
        let ticket = request.ticket
        guard !request.disks.isEmpty, Set(request.disks.map(\.target)).count == request.disks.count else {
            throw ReplicationError(
                .invalidArgument, "a point has at least one disk and each disk once", hint: "correct the list of disks")
        }
        var (target, loads) = try await act("send-point", ticket.relationship) { state, now in
            let target = try state.receiver(of: ticket)
            try state.checkPath(from: host, to: target)
            let loads = try request.disks.map { try state.load($0, for: ticket, from: host, to: target, now) }
            if state.checksPoints {
                state.truth[ticket.generation] = Dictionary(
                    uniqueKeysWithValues: loads.map { ($0.target, $0.truth) })
            }
            state.beginTransfer(host, target)
            return (target, loads)
        }
        let receiver = target
        defer { world.change { $0.endTransfer(host, receiver) } }
        var total = loads.reduce(0) { $0 + $1.byteCount }
        let renewed = loads.reduce(0) { $0 + $1.delta.byteCount }
        let scanned = loads.reduce(0) { $0 + $1.scanned }
        do {
            let share = try await carry(
                request, to: target, bytes: total, scanned: scanned, renewed: renewed, progress)
            if request.limits != nil {
                let beyond = Double(total - renewed)
                let onward = beyond > 0 ? max(0, (share * Double(total) - Double(renewed)) / beyond) : 1
                for index in loads.indices { loads[index].cut(to: onward, size: request.disks[index].size) }
                total = loads.reduce(0) { $0 + $1.byteCount }
            }
            let sent = loads
            // The agents finish what they have begun, whether or not anybody waits for it.
            var agents = self
            agents.life = nil
            try await agents.act("send-point-end", ticket.relationship) { state, now in
                for disk in request.disks { try state.checkSource(disk, at: host) }
                try state.checkPath(from: host, to: receiver)
                try state.deliver(sent, for: ticket, at: receiver)
            }
        } catch {
            // A ticket is good for one transfer.
            world.change { state in
                guard state.hosts[receiver]?.stores[ticket.relationship]?.draft?.token == ticket.token else { return }
                state.dropDraft(ticket.relationship, at: receiver)
            }
            throw error
        }
        if life?.isOver == true { throw EngineDied() }
        progress(TransferProgress(done: total, total: total, bytesPerSecond: 0))
        return TransferSummary(
            bytes: total, scanned: scanned, seconds: world.clock.now.seconds(since: began),
            checksums: Dictionary(uniqueKeysWithValues: loads.map { ($0.target, $0.checksum(ticket)) }),
            leg: request.limits.map { _ in
                LegSummary(
                    frontiers: loads.reduce(into: [:]) { $0[$1.target] = $1.frontier },
                    marks: loads.reduce(into: [:]) { $0[$1.target] = $1.fileMark }, renewed: renewed)
            },
            differing: zip(request.disks, loads).reduce(0) { sum, entry in
                entry.0.extents == .differing ? sum + entry.1.byteCount : sum
            })
    }

    /// Lets the time of the transfer pass, piece by piece at the speed that each piece finds; returns the share that was sent.
    private func carry(
        _ request: SendPoint, to target: String, bytes: UInt64, scanned: UInt64, renewed: UInt64,
        _ progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> Double {
        var left = 1.0
        let began = world.clock.now
        let slice = request.limits == nil ? Self.slice : Self.legSlice
        try await pause(world.look { $0.latency(from: host, to: target) })
        while left > 0 {
            let seconds = world.look { $0.duration(bytes: bytes, scanned: scanned, from: host, to: target) }
            let piece = min(slice, seconds * left)
            try await pause(piece)
            left = seconds * left <= slice ? 0 : left - piece / seconds
            guard left > 0 else { return 1 }
            let now = world.clock.now
            let isOver = try world.change { state in
                for disk in request.disks { try state.checkSource(disk, at: host) }
                try state.checkPath(from: host, to: target)
                return try request.limits.map { try state.isOver($0, request, since: began, at: host, now) } ?? false
            }
            // What changed below the frontier always travels, and something beyond it.
            if isOver, (1 - left) * Double(bytes) > Double(renewed) { return 1 - left }
            let done = UInt64(Double(bytes) * (1 - left))
            progress(TransferProgress(done: done, total: bytes, bytesPerSecond: Double(bytes) / max(seconds, 1e-6)))
        }
        return 1
    }

    private func pause(_ seconds: Double) async throws {
        do {
            try await world.clock.sleep(seconds: seconds)
        } catch {
            throw ReplicationError(.cancelled, "the transfer was given up", hint: "begin the cycle again")
        }
    }
}

extension WorldState {
    /// The host whose agent gave the ticket.
    fileprivate func receiver(of ticket: PointTicket) throws -> String {
        guard let target = hosts.values.first(where: { $0.address == ticket.address }) else {
            throw ReplicationError(
                .disconnected, "nobody listens at \(ticket.address)", hint: "see that the target's agent runs")
        }
        let draft = target.stores[ticket.relationship]?.draft
        guard target.isUp else { throw Self.lost(target.name) }
        guard let draft, draft.token == ticket.token, draft.request.generation == ticket.generation, !draft.isSent
        else {
            throw ReplicationError(
                .notAuthorized, "the ticket for generation \(ticket.generation) is not good",
                hint: "open the point again: a ticket is good for one transfer")
        }
        return target.name
    }

    private static func lost(_ host: String) -> ReplicationError {
        ReplicationError(
            .disconnected, "the connection to the agent of \(host) is gone",
            hint: "see that both hosts are up and the link between their sites is, then begin the cycle again")
    }

    fileprivate func checkPath(from source: String, to target: String) throws {
        guard let a = hosts[source], a.isUp else { throw Self.lost(source) }
        guard let b = hosts[target], b.isUp, !link(a.site, b.site).isCut else { throw Self.lost(target) }
        // A site that is cut off is cut off from its peers too.
        guard a.site == b.site || !(a.isCutOff || b.isCutOff) else { throw Self.lost(target) }
    }

    fileprivate func latency(from source: String, to target: String) -> Double {
        guard let a = hosts[source], let b = hosts[target] else { return 0 }
        return link(a.site, b.site).latency
    }

    fileprivate func duration(bytes: UInt64, scanned: UInt64, from source: String, to target: String) -> Double {
        guard let a = hosts[source], let b = hosts[target] else { return 0 }
        let link = link(a.site, b.site)
        let reading = Double(max(scanned, bytes)) * Double(max(1, a.transfers)) / a.speeds.readBytesPerSecond
        let writing = Double(bytes) * Double(max(1, b.transfers)) / b.speeds.writeBytesPerSecond
        let travelling = Double(bytes) * Double(max(1, link.transfers)) / link.bytesPerSecond
        return max(reading, writing, travelling)
    }

    fileprivate mutating func beginTransfer(_ source: String, _ target: String) { count(source, target, 1) }
    fileprivate mutating func endTransfer(_ source: String, _ target: String) { count(source, target, -1) }

    private mutating func count(_ source: String, _ target: String, _ step: Int) {
        guard let a = hosts[source]?.site, let b = hosts[target]?.site else { return }
        hosts[source]?.transfers += step
        hosts[target]?.transfers += step
        var link = link(a, b)
        link.transfers += step
        links[SitePair(a, b)] = link
    }

    /// Refuses a source that is not, or no longer, there to be read.
    fileprivate func checkSource(_ disk: SourceDisk, at host: String) throws {
        guard let current = hosts[host] else { throw Self.lost(host) }
        switch disk.from {
        case .export(let socket, let name):
            let backup = current.backups.values.first { $0.request.socket == socket }
            guard backup?.frozen[name] != nil else {
                throw ReplicationError(
                    .nbd, "nobody serves \(name) at \(socket)", hint: "begin the cycle again: the backup has ended")
            }
        case .image(let image):
            guard let file = current.files[image.path] else {
                throw ReplicationError(.notFound, "\(image.path) does not exist at \(host)", hint: "restore the file")
            }
            guard file.size == disk.size else {
                throw ReplicationError(
                    .invalidArgument, "\(image.path) has \(file.size) bytes, not \(disk.size)",
                    hint: "give the disk's present size")
            }
            guard !current.isWritten(image.path) else {
                throw ReplicationError(
                    .busy, "\(image.path) is open for writing", hint: "shut the VM down before its file is read")
            }
        }
    }

    /// Reads a disk as told: what of it travels, and what the target will then hold.
    fileprivate mutating func load(
        _ disk: SourceDisk, for ticket: PointTicket, from host: String, to target: String, _ now: Timestamp
    ) throws -> Load {
        try checkSource(disk, at: host)
        guard let current = hosts[host] else { throw Self.lost(host) }
        var (content, mark, bitmap) = (LayeredContent(layers: []), WriteMark(), Set<Int>?.none)
        switch disk.from {
        case .export(let socket, let name):
            let backup = current.backups.values.first { $0.request.socket == socket }
            content = backup?.frozen[name] ?? content
            mark = backup?.marks[name] ?? mark
            if case .changed(nil, _) = disk.extents { bitmap = backup?.changed[name] }
        case .image(let image):
            content = current.content(image.path) ?? content
            mark = current.files[image.path]?.mark ?? mark
            if case .changed(let name?, _) = disk.extents {
                bitmap = current.files[image.path]?.changes(since: name)
            }
        }
        let below =
            (disk.leg == nil
            ? hosts[target]?.stores[ticket.relationship]?.top(of: disk.target)
            : growingPlace(ticket.relationship, disk.target, at: target))
            .flatMap { hosts[target]?.content($0) } ?? LayeredContent(layers: [])
        var load = Load(
            target: disk.target, delta: VersionedExtents(), granules: [], mark: mark, scanned: 0, truth: content)
        if let leg = disk.leg {
            try take(leg, of: disk, from: host, over: below, into: &load)
            return load
        }
        let ranges: [ByteRange]
        switch disk.extents {
        case .everything: ranges = content.flattened.ranges
        case .differing: ranges = [ByteRange(offset: 0, length: disk.size)]
        case .changed(_, let also):
            guard var granules = bitmap else {
                throw ReplicationError(
                    .noUsableBitmap, "no usable bitmap for disk \(disk.target)", hint: "compare both sides instead")
            }
            for range in also where range.length > 0 {
                let last = (range.offset + range.length - 1) / Bitmap.granule
                granules.formUnion(Int(range.offset / Bitmap.granule)...Int(last))
            }
            ranges = SimulatedFile.ranges(granules, size: disk.size)
        }
        for range in ranges {
            let end = min(range.offset + range.length, disk.size)
            let piece = content.slice(range.offset, end).difference(
                from: below.slice(range.offset, end), range.offset, end)
            load.scanned += end - range.offset
            load.delta.overlay(piece)
        }
        // Nobody asks what is newer than the time before a first copy: a map of all of it would be large, and idle.
        let keepsMap = !below.layers.isEmpty
        for run in load.delta.runs {
            if keepsMap {
                load.granules.formUnion(
                    Int(run.offset / Bitmap.granule)...Int((run.end - 1) / Bitmap.granule))
            }
        }
        return load
    }

    /// What a leg of a first copy sends: what changed below the frontier, and all that lies beyond.
    private func take(
        _ leg: LegStart, of disk: SourceDisk, from host: String, over below: LayeredContent, into load: inout Load
    ) throws {
        var changed: Set<Int>?
        switch disk.from {
        case .export(let socket, let name):
            if leg.isTracked {
                changed = hosts[host]?.backups.values.first { $0.request.socket == socket }?.changed[name]
            }
        case .image(let image):
            let file = hosts[host]?.files[image.path]
            load.fileMark = file.map { "\($0.mark.writes) \($0.mark.last?.version ?? 0) \($0.backing ?? "")" }
            if let mark = leg.mark, mark == load.fileMark {
                changed = []
            } else if leg.isTracked, let bitmap = leg.bitmap {
                changed = file?.changes(since: bitmap)
            }
        }
        if leg.isTracked, changed == nil {
            throw ReplicationError(
                .noUsableBitmap, "no usable bitmap for disk \(disk.target)", hint: "compare both sides instead")
        }
        let ranges =
            changed.map { SimulatedFile.ranges($0, size: disk.size) } ?? [ByteRange(offset: 0, length: leg.frontier)]
        for range in ranges where range.offset < leg.frontier {
            let end = min(range.offset + range.length, leg.frontier)
            load.delta.overlay(
                load.truth.slice(range.offset, end).difference(
                    from: below.slice(range.offset, end), range.offset, end))
            load.scanned += end - range.offset
        }
        let onward = load.truth.flattened.slice(leg.frontier, disk.size)
        load.scanned += onward.byteCount
        (load.onward, load.frontier) = (onward, disk.size)
    }

    /// Whether a leg has gone far enough; throws when the scratch space of its backup is all but used up.
    fileprivate mutating func isOver(
        _ limits: LegLimits, _ request: SendPoint, since began: Timestamp, at host: String, _ now: Timestamp
    ) throws -> Bool {
        let sockets = request.disks.map { disk -> String in
            if case .export(let socket, _) = disk.from { socket } else { "" }
        }
        for (uuid, backup) in hosts[host]?.backups.sorted(by: { $0.key < $1.key }) ?? []
        where sockets.contains(backup.request.socket) { settle(uuid, at: host, now) }
        let free = hosts[host]?.freeBytes ?? 0
        guard free >= limits.abortBelow else {
            throw ReplicationError(
                .noScratch, "scratch space at \(host) ran low: the leg was ended",
                hint: "free space there; the guest was not harmed")
        }
        return free < limits.endBelow || now.seconds(since: began) >= limits.seconds
    }

    /// All that was sent is on the target's disks.
    fileprivate mutating func deliver(_ loads: [Load], for ticket: PointTicket, at target: String) throws {
        guard var draft = hosts[target]?.stores[ticket.relationship]?.draft, draft.token == ticket.token else {
            throw ReplicationError(
                .cancelled, "the point was opened anew while it was being sent",
                hint: "let one engine at a time replicate a VM; the newer attempt goes on")
        }
        let bytes = loads.reduce(0) { $0 + $1.byteCount }
        guard hosts[target]?.freeBytes ?? 0 >= bytes else {
            throw ReplicationError(
                .noSpace, "no space left at \(target) for \(bytes) bytes",
                hint: "free space on the file system of the store and start the cycle again; earlier points are intact")
        }
        for load in loads {
            var extents = load.delta
            if let onward = load.onward { extents.overlay(onward) }
            draft.received[load.target] = SimulatedStore.Received(
                extents: extents, granules: load.granules, mark: load.mark, checksum: load.checksum(ticket))
        }
        draft.isSent = true
        hosts[target]?.reserve(bytes)
        hosts[target]?.stores[ticket.relationship]?.draft = draft
    }
}
