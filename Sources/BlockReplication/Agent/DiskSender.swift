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
    var watch: LegWatch?
    /// Whether blocks that the target has already are left out.
    var comparesBlocks = true
    var packing = AgentLimits.Packing.whenQuicker
    /// How fast the agent sends, with all its other transfers.
    var pace: SendingPace?
    var security = DataSecurity.local
    var handshakeSeconds = AgentLimits().handshakeSeconds

    var disk: SourceDisk { held.disk }
    var interrupt: Interrupt { held.interrupt }

    /// What was sent: the running checksum, and how far a leg came.
    struct Sent: Sendable {
        var checksum: Hash128
        var frontier: UInt64?
        /// Bytes that differed, of a disk that was compared as a whole.
        var differing: UInt64 = 0
    }

    /// Sends the disk; returns what was sent when the receiver has all of it on stable storage.
    ///
    /// The source stays open: who opened it closes it.
    func run() throws -> Sent {
        let source = held.source
        let socket = try security.connect(
            to: try SocketAddress(ticket.address), encrypted: ticket.isEncrypted == true, interrupt: interrupt,
            handshakeSeconds: handshakeSeconds)
        socket.setWriteLimit(seconds: writeLimitSeconds)
        let channel = WireChannel(socket)
        let peer = PeerState()
        do {
            let welcome = try greet(channel, peer)
            let packing = welcome.contains(.unpacks) ? packing : .never
            let sent: Sent
            if let leg = disk.leg, let watch {
                // Most of it is new to the target, so blocks are not asked about.
                let content = ContentStream(channel, peer, hasher: nil, packing: packing, pace: pace)
                sent = try sendLeg(leg, watch, of: source, channel, peer, content)
            } else {
                let asks = welcome.contains(.answersBlocks) && comparesBlocks
                sent = try sendSelected(of: source, channel, peer, asks, packing)
            }
            channel.end()
            return sent
        } catch {
            // What the peer told us it knows; what went wrong here it must hear, to throw away what it has.
            if peer.hasFailed { channel.end() } else { channel.fail(with: error) }
            throw error
        }
    }

    private func sendSelected(
        of source: any ExtentSource, _ channel: WireChannel, _ peer: PeerState, _ asks: Bool,
        _ packing: AgentLimits.Packing
    ) throws -> Sent {
        let selected = try disk.selected(from: source)
        // A key of this transfer alone: who writes the disk cannot know it.
        let key = randomBytes(KeyedHasher.keySize)
        let hasher = KeyedHasher(key: key)
        if selected == nil || (asks && selected?.dataByteCount != 0) {
            try key.withUnsafeBytes { try channel.send(.hashKey, $0) }
        }
        let extents = try selected ?? compare(source, upTo: disk.size, channel, peer, hasher).differing
        let content = ContentStream(channel, peer, hasher: asks ? hasher : nil, packing: packing, pace: pace)
        try send(extents, of: source, content)
        return Sent(checksum: try content.finish(), differing: selected == nil ? content.covered : 0)
    }

    /// Shows the ticket, and returns what the receiver can do.
    private func greet(_ channel: WireChannel, _ peer: PeerState) throws -> WireWelcome {
        guard let token = Hexadecimal.decode(ticket.token), token.count == WireHello.tokenSize else {
            throw ReplicationError(
                .invalidArgument, "the ticket is not one that an agent made",
                hint: "open the point at the target and send with the ticket that it returns")
        }
        let hello = WireHello(
            token: token, relationship: ticket.relationship, generation: ticket.generation, disk: disk.target)
        try hello.encoded().withUnsafeBytes { try channel.send(.hello, $0) }
        return try peer.listening {
            try channel.receiveMessage { header, _ in
                guard header.kind == .welcome else { throw WireChannel.unexpected(header.kind) }
                return WireWelcome(rawValue: header.offset)
            }
        }
    }

    /// What differs from the peer's newest state, as data and zero extents in whole blocks.
    ///
    /// Only what lies below `limit`, the end of a block or of the disk, is looked at; and, once `isOver`, no more than has been
    /// asked about, up to `reached`.
    func compare(
        _ source: any ExtentSource, upTo limit: UInt64, _ channel: WireChannel, _ peer: PeerState,
        _ hasher: KeyedHasher, unless isOver: () -> Bool = { false }
    ) throws -> (differing: ExtentMap, reached: UInt64) {
        meter.expect(limit)
        var ranges = stride(from: 0, to: limit, by: Int(BlockHashes.range)).lazy.map {
            ByteRange(offset: $0, length: min(BlockHashes.range, limit - $0))
        }.makeIterator()
        let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
        interrupt.onTrigger { [weak pool] in pool?.wake() }
        var asked: [ByteRange] = []
        var differing: [Extent] = []
        var reached: UInt64 = 0
        while true {
            // One at least, or it would never get further.
            while asked.count <= Self.hashesAhead, (reached == 0 && asked.isEmpty) || !isOver(),
                let next = ranges.next()
            {
                try channel.send(.hashRequest, offset: next.offset, length: next.length)
                asked.append(next)
            }
            guard !asked.isEmpty else { return (ExtentMap(differing), reached) }
            let range = asked.removeFirst()
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
            reached = range.offset + range.length
        }
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
