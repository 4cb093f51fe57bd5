/// Sends one disk of a point over a connection of its own.
///
/// Blocks: runs on a thread of its own.
struct DiskSender: Sendable {
    /// Ranges that the peer may be hashing ahead of us.
    private static let hashesAhead = 2

    let ticket: PointTicket
    let held: HeldDisks.Disk
    let meter: TransferMeter
    let writeLimitSeconds: Double

    /// When the disk's leg ends; nil when all is sent.
    let watch: LegWatch?

    var disk: SourceDisk { held.disk }
    var interrupt: Interrupt { held.interrupt }

    /// What was sent: the running checksum, and how far a leg came.
    struct Sent: Sendable {
        var checksum: Hash128
        var frontier: UInt64?
    }

    /// Sends the disk; returns what was sent when the receiver has all of it on stable storage.
    ///
    /// The source stays open: who opened it closes it.
    func run() throws -> Sent {
        let source = held.source
        let socket = try StreamSocket.connect(
            to: try SocketAddress(ticket.address), interrupt: interrupt, timeoutSeconds: 10)
        socket.setWriteLimit(seconds: writeLimitSeconds)
        let channel = WireChannel(socket)
        let peer = PeerState()
        do {
            try greet(channel, peer)
            let sent: Sent
            if let leg = disk.leg, let watch {
                sent = try sendLeg(leg, watch, of: source, channel, peer)
            } else {
                let extents = try disk.selected(from: source) ?? compare(source, upTo: disk.size, channel, peer)
                var frames = FrameCounter()
                try send(extents, of: source, channel, peer, &frames)
                sent = Sent(checksum: try confirm(frames.summary, channel, peer))
            }
            channel.end()
            return sent
        } catch {
            // What the peer told us it knows; what went wrong here it must hear, to throw away what it has.
            if peer.hasFailed { channel.end() } else { channel.fail(with: error) }
            throw error
        }
    }

    private func greet(_ channel: WireChannel, _ peer: PeerState) throws {
        guard let token = Hexadecimal.decode(ticket.token), token.count == WireHello.tokenSize else {
            throw ReplicationError(
                .invalidArgument, "the ticket is not one that an agent made",
                hint: "open the point at the target and send with the ticket that it returns")
        }
        let hello = WireHello(
            token: token, relationship: ticket.relationship, generation: ticket.generation, disk: disk.target)
        try hello.encoded().withUnsafeBytes { try channel.send(.hello, $0) }
        try peer.listening {
            try channel.receiveMessage { header, _ in
                guard header.kind == .welcome else { throw WireChannel.unexpected(header.kind) }
            }
        }
    }

    /// What differs from the peer's newest state, as data and zero extents in whole blocks.
    ///
    /// Only what lies below `limit`, the end of a block or of the disk, is looked at.
    func compare(
        _ source: any ExtentSource, upTo limit: UInt64, _ channel: WireChannel, _ peer: PeerState
    ) throws -> ExtentMap {
        meter.expect(limit)
        let key = randomBytes(KeyedHasher.keySize)
        let hasher = KeyedHasher(key: key)
        try key.withUnsafeBytes { try channel.send(.hashKey, $0) }
        let ranges = stride(from: 0, to: limit, by: Int(BlockHashes.range)).map {
            ByteRange(offset: $0, length: min(BlockHashes.range, limit - $0))
        }
        let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
        interrupt.onTrigger { [weak pool] in pool?.wake() }
        var asked = 0
        var differing: [Extent] = []
        for (index, range) in ranges.enumerated() {
            while asked < ranges.count, asked <= index + Self.hashesAhead {
                try channel.send(.hashRequest, offset: ranges[asked].offset, length: ranges[asked].length)
                asked += 1
            }
            let ours = try BlockHashes.hash(
                source, offset: range.offset, length: range.length, hasher: hasher, pool: pool)
            try peer.listening {
                try channel.receiveMessage { header, payload in
                    guard header.kind == .hashReply, header.offset == range.offset,
                        payload.count == ours.count * 16
                    else { throw WireChannel.unexpected(header.kind) }
                    for (block, hash) in ours.enumerated() where hash != Hash128(payload, at: block) {
                        let offset = range.offset + UInt64(block) * BlockHashes.block
                        differing.append(
                            Extent(
                                offset: offset, length: min(BlockHashes.block, limit - offset),
                                isZero: hash == .zero))
                    }
                }
            }
            meter.scanned(range.length)
        }
        return ExtentMap(differing)
    }

    /// Sends the extents, a second thread reading ahead.
    func send(
        _ extents: ExtentMap, of source: any ExtentSource, _ channel: WireChannel, _ peer: PeerState,
        _ frames: inout FrameCounter
    ) throws {
        meter.expect(extents.dataByteCount)
        let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
        interrupt.onTrigger { [weak pool] in pool?.wake() }
        let filled = HandOff<FilledBuffer>(interrupt)
        let reader = WorkerThread("agent-read-\(disk.target)") { [interrupt] in
            do {
                try source.read(extents, pool: pool) { filled.put($0) }
                filled.finish()
            } catch {
                interrupt.trigger(error)
            }
        }
        let sending = Result {
            for extent in extents where extent.isZero {
                try peer.listening { try channel.checkPeer() }
                let header = FrameHeader(kind: .zero, offset: extent.offset, length: extent.length)
                try peer.listening { try channel.send(header, .empty) { frames.count($0, bytes: 0) } }
            }
            while let item = try filled.next(interrupt) {
                defer { pool.giveBack(item.buffer) }
                try send(item, channel, peer, &frames)
            }
        }
        if case .failure(let error) = sending { interrupt.trigger(error) }
        try? reader.join()
        try sending.get()
    }

    /// Sends one buffer; one that is all zeros travels as such.
    func send(
        _ item: FilledBuffer, _ channel: WireChannel, _ peer: PeerState, _ frames: inout FrameCounter
    ) throws {
        try peer.listening { try channel.checkPeer() }
        let isZero = isZero(item.bytes)
        let header = FrameHeader(kind: isZero ? .zero : .data, offset: item.offset, length: UInt64(item.count))
        let payload = isZero ? UnsafeRawBufferPointer.empty : item.bytes
        try peer.listening {
            try channel.send(header, payload) { frames.count($0, bytes: payload.count) }
        }
        meter.moved(UInt64(item.count), sent: UInt64(payload.count))
    }

    /// Says that this is the end, and waits for the receiver's word that it has all of it.
    func confirm(_ summary: FrameSummary, _ channel: WireChannel, _ peer: PeerState) throws -> Hash128 {
        try summary.encoded().withUnsafeBytes { bytes in
            try peer.listening { try channel.send(.end, bytes) }
        }
        try peer.listening {
            try channel.receiveMessage { header, payload in
                guard header.kind == .ack, payload.count == 16 else { throw WireChannel.unexpected(header.kind) }
                guard Hash128(payload, at: 0) == summary.checksum else {
                    throw ReplicationError.malformed("the receiver confirmed another checksum than was sent")
                }
            }
        }
        return summary.checksum
    }
}

/// Remembers whether an error came from the peer, which then needs not be told.
///
/// Confined to the sender's thread.
final class PeerState {
    private(set) var hasFailed = false

    /// Runs what may throw the peer's own words, or find it gone.
    func listening<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch {
            if (error as? ReplicationError)?.code != .cancelled { hasFailed = true }
            throw error
        }
    }
}
