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
    var checksum: String
}

extension SimulatedAgent {
    /// The longest a transfer goes on without a look at what has happened meanwhile, in seconds.
    private static var slice: Double { 1 }

    package func sendPoint(
        _ request: SendPoint, progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> TransferSummary {
        let began = world.clock.now
        let ticket = request.ticket
        guard !request.disks.isEmpty, Set(request.disks.map(\.target)).count == request.disks.count else {
            throw ReplicationError(
                .invalidArgument, "a point has at least one disk and each disk once", hint: "correct the list of disks")
        }
        let (target, loads) = try await act("send-point", ticket.relationship) { state, now in
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
        defer { world.change { $0.endTransfer(host, target) } }
        let total = loads.reduce(0) { $0 + $1.delta.byteCount }
        let scanned = loads.reduce(0) { $0 + $1.scanned }
        do {
            try await carry(request, to: target, bytes: total, scanned: scanned, progress)
            // The agents finish what they have begun, whether or not anybody waits for it.
            var agents = self
            agents.life = nil
            try await agents.act("send-point-end", ticket.relationship) { state, now in
                for disk in request.disks { try state.checkSource(disk, at: host) }
                try state.checkPath(from: host, to: target)
                try state.deliver(loads, for: ticket, at: target)
            }
        } catch {
            // A ticket is good for one transfer.
            world.change { state in
                guard state.hosts[target]?.stores[ticket.relationship]?.draft?.token == ticket.token else { return }
                state.dropDraft(ticket.relationship, at: target)
            }
            throw error
        }
        if life?.isOver == true { throw EngineDied() }
        progress(TransferProgress(done: total, total: total, bytesPerSecond: 0))
        return TransferSummary(
            bytes: total, scanned: scanned, seconds: world.clock.now.seconds(since: began),
            checksums: Dictionary(uniqueKeysWithValues: loads.map { ($0.target, $0.checksum) }))
    }

    /// Lets the time of the transfer pass, piece by piece at the speed that each piece finds.
    private func carry(
        _ request: SendPoint, to target: String, bytes: UInt64, scanned: UInt64,
        _ progress: @escaping @Sendable (TransferProgress) -> Void
    ) async throws {
        var left = 1.0
        try await pause(world.look { $0.latency(from: host, to: target) })
        while left > 0 {
            let seconds = world.look { $0.duration(bytes: bytes, scanned: scanned, from: host, to: target) }
            let piece = min(Self.slice, seconds * left)
            try await pause(piece)
            left = seconds * left <= Self.slice ? 0 : left - piece / seconds
            guard left > 0 else { return }
            try world.change { state in
                for disk in request.disks { try state.checkSource(disk, at: host) }
                try state.checkPath(from: host, to: target)
            }
            let done = UInt64(Double(bytes) * (1 - left))
            progress(TransferProgress(done: done, total: bytes, bytesPerSecond: Double(bytes) / max(seconds, 1e-6)))
        }
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
            hosts[target]?.stores[ticket.relationship]?.top(of: disk.target)
            .flatMap { hosts[target]?.content($0) } ?? LayeredContent(layers: [])
        var load = Load(
            target: disk.target, delta: VersionedExtents(), granules: [], mark: mark, scanned: 0, truth: content,
            checksum: "")
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
        var hash = SplitMix.seed(ticket.generation, UInt64(load.delta.runs.count))
        // Nobody asks what is newer than the time before a first copy: a map of all of it would be large, and idle.
        let keepsMap = !below.layers.isEmpty
        for run in load.delta.runs {
            if keepsMap {
                load.granules.formUnion(
                    Int(run.offset / Bitmap.granule)...Int((run.end - 1) / Bitmap.granule))
            }
            hash = (hash ^ run.offset ^ run.stamp.version) &* 0x100_0000_01B3
        }
        load.checksum = String(hash, radix: 16)
        return load
    }

    /// All that was sent is on the target's disks.
    fileprivate mutating func deliver(_ loads: [Load], for ticket: PointTicket, at target: String) throws {
        guard var draft = hosts[target]?.stores[ticket.relationship]?.draft, draft.token == ticket.token else {
            throw ReplicationError(
                .cancelled, "the point was opened anew while it was being sent",
                hint: "let one engine at a time replicate a VM; the newer attempt goes on")
        }
        let bytes = loads.reduce(0) { $0 + $1.delta.byteCount }
        guard hosts[target]?.freeBytes ?? 0 >= bytes else {
            throw ReplicationError(
                .noSpace, "no space left at \(target) for \(bytes) bytes",
                hint: "free space on the file system of the store and start the cycle again; earlier points are intact")
        }
        for load in loads {
            draft.received[load.target] = SimulatedStore.Received(
                extents: load.delta, granules: load.granules, mark: load.mark, checksum: load.checksum)
        }
        draft.isSent = true
        hosts[target]?.reserve(bytes)
        hosts[target]?.stores[ticket.relationship]?.draft = draft
    }
}
