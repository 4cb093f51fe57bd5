/// The frames of one disk's content, in order of sending, and what they add up to.
///
/// Confined to the sender's thread.
final class ContentStream {
    private let channel: WireChannel
    private let peer: PeerState
    private let hasher: KeyedHasher?
    private var comparison: Comparison?
    private var packing: ContentPacking?
    private let pace: SendingPace?
    /// Seconds that content has waited for its turn under a limit: to packing, the network's fault too.
    private var paced = 0.0
    private var frames = FrameCounter()
    /// Bytes of disk that the frames so far speak of, zeros included.
    private(set) var covered: UInt64 = 0

    /// What tells the blocks that the peer has already.
    private struct Comparison {
        let hasher: KeyedHasher
        let known: ChangedBlocks
    }

    /// With a hasher, blocks that the peer has already are left out; with packing, content is compressed.
    init(
        _ channel: WireChannel, _ peer: PeerState, hasher: KeyedHasher?, packing: AgentLimits.Packing,
        pace: SendingPace? = nil
    ) {
        self.channel = channel
        self.peer = peer
        self.hasher = hasher
        self.packing = ContentPacking(packing)
        self.pace = pace
    }

    /// Makes ready for these extents, whose buffers come next; those before have all been sent.
    func begin(_ extents: ExtentMap) throws {
        comparison = hasher.map { Comparison(hasher: $0, known: ChangedBlocks(extents)) }
        try askAhead()
    }

    /// Asks the peer what it has of the ranges that come next.
    func askAhead() throws { try comparison?.known.askAhead(ask) }

    private func ask(_ question: UnsafeRawBufferPointer) throws {
        let header = FrameHeader(kind: .blockRequest, length: UInt64(question.count))
        try peer.listening { try channel.send(header, question, listening: true, hear: takeInput) { _ in } }
    }

    /// Sends of a buffer what the peer does not have; returns the bytes of content.
    func send(_ item: FilledBuffer) throws -> UInt64 {
        if let comparison { return try sendDiffering(item, comparison) }
        return try sendWhole(item)
    }

    /// Takes what the peer has said, between two frames.
    func hear() throws { try peer.listening { try takeInput() } }

    /// Says that a range is zeros.
    func sendZeros(offset: UInt64, length: UInt64) throws {
        covered += length
        try send(FrameHeader(kind: .zero, offset: offset, length: length), .empty, content: 0)
    }

    private func sendData(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
        covered += UInt64(bytes.count)
        let packed = packing?.pack(bytes, blockedSeconds: channel.socket.blockedSeconds + paced)
        if let pace { paced += try pace.take(packed?.count ?? bytes.count, channel.socket.interrupt) }
        let header = FrameHeader(
            kind: packed == nil ? .data : .packed, offset: offset, length: UInt64(packed?.count ?? bytes.count))
        try send(header, packed ?? bytes, content: bytes.count)
    }

    /// Sends one frame that counts; takes in answers meanwhile, for the peer may be sending too.
    private func send(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, content: Int) throws {
        try peer.listening {
            try channel.send(header, payload, listening: comparison != nil, hear: takeInput) {
                frames.count($0, bytes: content)
            }
        }
    }

    private func sendWhole(_ item: FilledBuffer) throws -> UInt64 {
        if isZero(item.bytes) {
            try sendZeros(offset: item.offset, length: UInt64(item.count))
            return 0
        }
        try sendData(item.bytes, at: item.offset)
        return UInt64(item.count)
    }

    private func sendDiffering(_ item: FilledBuffer, _ comparison: Comparison) throws -> UInt64 {
        let segment = try comparison.known.segment(of: item, ask)
        while segment.isAsked, !segment.isAnswered {
            try peer.listening { try channel.receiveMessage(take) }
        }
        var (sent, equal) = (UInt64(0), 0)
        let answered = try segment.withHashes(from: item.offset) { theirs in
            var run = BlockRun.none
            let block = Int(BlockGrid.block)
            for (index, at) in stride(from: 0, to: item.count, by: block).enumerated() {
                let bytes = UnsafeRawBufferPointer(rebasing: item.bytes[at..<min(at + block, item.count)])
                let hash = comparison.hasher.hash(bytes)
                let kind: BlockRun.Kind =
                    hash == Hash128(theirs, at: index) ? .same : hash == .zero ? .zero : .data
                if kind == .same { equal += 1 }
                if kind != run.kind {
                    sent += try send(run, upTo: at, of: item)
                    run = BlockRun(kind: kind, start: at)
                }
            }
            sent += try send(run, upTo: item.count, of: item)
        }
        if !answered { sent = try sendWhole(item) }
        comparison.known.done(item, in: segment, equal: equal)
        return sent
    }

    /// Ends the content and waits until the receiver has all of it on stable storage.
    func finish() throws -> Hash128 {
        let summary = frames.summary
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

    private func send(_ run: BlockRun, upTo end: Int, of item: FilledBuffer) throws -> UInt64 {
        guard run.start < end else { return 0 }
        let offset = item.offset + UInt64(run.start)
        let length = UInt64(end - run.start)
        switch run.kind {
        case .same: return 0
        case .zero:
            try sendZeros(offset: offset, length: length)
            return 0
        case .data:
            try sendData(UnsafeRawBufferPointer(rebasing: item.bytes[run.start..<end]), at: offset)
            return length
        }
    }

    private func takeInput() throws { try channel.hear(take) }

    private func take(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) throws {
        guard header.kind == .blockReply, let comparison else { throw WireChannel.unexpected(header.kind) }
        try comparison.known.take(payload)
    }
}

/// Neighbouring blocks of a buffer with which the same is to be done.
private struct BlockRun {
    enum Kind {
        case same, zero, data
    }

    var kind: Kind
    /// Place in the buffer.
    var start: Int

    static let none = BlockRun(kind: .same, start: 0)
}
