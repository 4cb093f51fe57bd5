import Glibc
import SiteModel

/// Receives one disk of a point: checks each frame before it is written, and the sum of all at the end.
struct DiskReceiver {
    let writer: any PointImageWriter
    /// The newest state of the disk here, against which hashes are compared; nil when there is none: all zeros.
    let newest: DiskImage?
    /// Where that is known to be damaged.
    let distrusted: ExtentMap
    let interrupt: Interrupt

    /// Takes frames until the end; returns what came once it is on stable storage.
    ///
    /// The caller confirms it.
    func run(_ channel: WireChannel) throws -> FrameSummary {
        var frames = FrameCounter()
        let behind = try WriteBehind(writer.path)
        var comparison: Comparison?
        var unpacker: Unpacker?
        defer { comparison?.close() }
        var hasData = false
        while true {
            let step = try channel.receiveMessage { header, payload -> Step in
                switch header.kind {
                case .data:
                    hasData = true
                    try writer.write(payload, at: header.offset)
                    return .content(payload.count)
                case .packed:
                    hasData = true
                    let used = try unpacker ?? Unpacker()
                    unpacker = used
                    let content = try used.unpack(payload)
                    try writer.write(content, at: header.offset)
                    return .content(content.count)
                case .zero:
                    hasData = true
                    try writer.zero(offset: header.offset, length: header.length)
                    return .content(0)
                case .hashKey where comparison == nil && !hasData && payload.count == KeyedHasher.keySize:
                    comparison = Comparison(
                        hasher: KeyedHasher(key: Array(payload)), newest: newest, distrusted: distrusted,
                        interrupt: interrupt)
                    return .nothing
                case .hashRequest where comparison != nil && !hasData: return .hashes(header)
                case .blockRequest where comparison != nil:
                    return .blocks(try BlockQuestion.decode(payload, size: writer.size))
                case .end: return .end(try FrameSummary(payload))
                default: throw WireChannel.unexpected(header.kind)
                }
            }
            switch step {
            case .nothing: break
            case .content(let bytes):
                channel.withLastHeader { frames.count($0, bytes: bytes) }
                behind.wrote(bytes)
            case .hashes(let header):
                if let comparison { try answer(header, comparison, channel) }
            case .blocks(let ranges):
                if let comparison { try channel.send(.blockReply, try comparison.blocks(ranges)) }
            case .end(let end):
                guard end == frames.summary else {
                    throw ReplicationError(
                        .checksumMismatch, "the frames received do not add up to those sent",
                        hint: "start the cycle again; if it happens twice, check the network between the sites")
                }
                // Sealing then has only tables left to write.
                try behind.finish(writer.path)
                try writer.syncSums()
                return end
            }
        }
    }

    /// What is left to do after a frame has been taken in.
    ///
    /// Nothing is sent while a frame is being received: a send that fails reads the peer's last words.
    private enum Step {
        case nothing
        /// Counts, with so many bytes of content.
        case content(Int)
        case hashes(FrameHeader)
        case blocks([ByteRange])
        case end(FrameSummary)
    }

    private func answer(_ header: FrameHeader, _ comparison: Comparison, _ channel: WireChannel) throws {
        guard header.offset % BlockHashes.block == 0, header.length <= BlockHashes.range, header.length > 0,
            header.offset + header.length <= writer.size,
            header.length % BlockHashes.block == 0 || header.offset + header.length == writer.size
        else { throw ReplicationError.malformed("hashes were asked for of a range that is not on the disk's grid") }
        var hashes = [Hash128](repeating: .zero, count: BlockHashes.count(header.length))
        do {
            if let source = try comparison.source() {
                // What lies beyond the end of a disk that has grown since is new: it travels, zeros too.
                let known = min(header.offset + header.length, source.size)
                if known > header.offset {
                    let found = try BlockHashes.hash(
                        source, offset: header.offset, length: known - header.offset, hasher: comparison.hasher,
                        pool: comparison.pool)
                    hashes.replaceSubrange(..<found.count, with: found)
                }
                if known < header.offset + header.length {
                    let first = max(known, header.offset) - header.offset
                    for block in Int(first / BlockHashes.block)..<hashes.count { hashes[block] = .unknown }
                }
            }
        } catch let error as ReplicationError where interrupt.reason == nil && [.io, .nbd].contains(error.code) {
            // Sending it whole puts right what is not readable here. A chain that cannot be opened is another matter: nobody
            // could open what would stand on it either.
            hashes = hashes.map { _ in .unknown }
            comparison.giveUpSource()
        }
        // Even where it reads as the source does: only what is sent anew is known to be right from then on.
        for extent in distrusted.intersection(ExtentMap([Extent(offset: header.offset, length: header.length)])) {
            let first = Int((extent.offset - header.offset) / BlockHashes.block)
            for block in first...Int((extent.end - 1 - header.offset) / BlockHashes.block) { hashes[block] = .unknown }
        }
        // A leg is compared with what earlier ones have written here: what is found equal is known to be right.
        if newest?.path == writer.path {
            try (writer as? RawBaseWriter)?.renewSums(offset: header.offset, length: header.length)
        }
        try hashes.flatMap(\.bytes).withUnsafeBytes { try channel.send(.hashReply, offset: header.offset, $0) }
    }

    /// What is needed to answer questions for hashes; nothing is opened before the first.
    ///
    /// Confined to the receiver's thread.
    private final class Comparison {
        let hasher: KeyedHasher
        let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
        private let newest: DiskImage?
        private let distrusted: ExtentMap
        private let interrupt: Interrupt
        private var opened: (any ExtentSource)?
        private var answerer: BlockAnswerer?

        init(hasher: KeyedHasher, newest: DiskImage?, distrusted: ExtentMap, interrupt: Interrupt) {
            self.distrusted = distrusted
            self.hasher = hasher
            self.newest = newest
            self.interrupt = interrupt
            interrupt.onTrigger { [weak pool] in pool?.wake() }
        }

        /// The newest state as one source; nil when there is none.
        func source() throws -> (any ExtentSource)? {
            if opened == nil { opened = try newest.map { try openImage($0, interrupt: interrupt) } }
            return opened
        }

        /// Closes a source that failed to be read: the next range is read through another connection.
        func giveUpSource() {
            opened?.close()
            opened = nil
        }

        /// The hashes of the blocks of some ranges.
        func blocks(_ ranges: [ByteRange]) throws -> UnsafeRawBufferPointer {
            guard let newest else { return .empty }
            let answerer =
                answerer
                ?? BlockAnswerer(
                    newest, distrusted: distrusted, hasher: hasher, interrupt: interrupt)
            self.answerer = answerer
            return try answerer.answer(ranges)
        }

        func close() {
            opened?.close()
            answerer = nil
        }
    }
}
