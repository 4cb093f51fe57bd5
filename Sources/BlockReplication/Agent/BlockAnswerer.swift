import SiteModel

/// Answers a sender's questions: the keyed hashes of 4 KiB blocks as they stand in the newest state of a disk here.
///
/// They are read from the chain that the point under way stands on, so there is no table that could be lost or stale. What
/// cannot be read is answered with nothing, and then travels whole. Confined to the receiver's thread.
final class BlockAnswerer {
    private let newest: DiskImage
    private let distrusted: ExtentMap
    private let hasher: KeyedHasher
    private let interrupt: Interrupt
    private var chain: ChainReader?
    private var foreign: (any ExtentSource)?
    private var isUnreadable = false
    private let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: ReadShape.requestSize, alignment: 4096)
    private let hashes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: BlockQuestion.mostBlocks * 16, alignment: 16)

    init(_ newest: DiskImage, distrusted: ExtentMap, hasher: KeyedHasher, interrupt: Interrupt) {
        self.newest = newest
        self.distrusted = distrusted
        self.hasher = hasher
        self.interrupt = interrupt
    }

    deinit {
        foreign?.close()
        bytes.deallocate()
        hashes.deallocate()
    }

    /// The answer's payload, valid until the next question; empty when the newest state cannot be read.
    func answer(_ ranges: [ByteRange]) throws -> UnsafeRawBufferPointer {
        guard !isUnreadable else { return .empty }
        do {
            var count = 0
            for range in ranges { try hash(range, &count) }
            return UnsafeRawBufferPointer(rebasing: hashes[..<(count * 16)])
        } catch let error as ReplicationError where error.code != .cancelled && interrupt.reason == nil {
            // Sending it whole puts right what is not readable here.
            isUnreadable = true
            return .empty
        }
    }

    private func hash(_ range: ByteRange, _ count: inout Int) throws {
        let chain = try opened()
        // What is known to be damaged is asked for again, however it reads.
        var damaged = distrusted.intersection(ExtentMap([Extent(offset: range.offset, length: range.length)]))[...]
        var done: UInt64 = 0
        while done < range.length {
            try interrupt.check()
            let length = Int(min(UInt64(bytes.count), range.length - done))
            let start = range.offset + done
            let there = Int(min(UInt64(length), chain.size - min(chain.size, start)))
            if there > 0 { try chain.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<there]), at: start) }
            for at in stride(from: 0, to: length, by: Int(BlockGrid.block)) {
                let end = min(at + Int(BlockGrid.block), length)
                // Beyond the end of a disk that has grown since nothing is known: it travels, zeros too.
                while let first = damaged.first, first.end <= start + UInt64(at) { damaged = damaged.dropFirst() }
                let isDamaged = damaged.first.map { $0.offset < start + UInt64(end) } ?? false
                let hash =
                    end <= there && !isDamaged
                    ? hasher.hash(UnsafeRawBufferPointer(rebasing: bytes[at..<end])) : Hash128.unknown
                hashes.storeBytes(of: hash.high.bigEndian, toByteOffset: count * 16, as: UInt64.self)
                hashes.storeBytes(of: hash.low.bigEndian, toByteOffset: count * 16 + 8, as: UInt64.self)
                count += 1
            }
            done += UInt64(length)
        }
    }

    private func opened() throws -> ChainReader {
        if let chain { return chain }
        guard let format = ImageFormat(rawValue: newest.format) else {
            throw ReplicationError(
                .unsupported, "an image of format \(newest.format) cannot be read", hint: "use raw or qcow2")
        }
        let made = try ChainReader(ImageLayer(path: newest.path, format: format)) { image in
            let source = try openImage(
                DiskImage(path: image.path, format: image.format.rawValue), interrupt: interrupt)
            foreign = source
            let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
            interrupt.onTrigger { [weak pool] in pool?.wake() }
            return (source.size, { try source.fill($0, at: $1, pool: pool) })
        }
        chain = made
        return made
    }
}

extension ExtentSource {
    /// Fills `bytes` from `offset`, through the source's own way of reading.
    fileprivate func fill(_ bytes: UnsafeMutableRawBufferPointer, at offset: UInt64, pool: BufferPool) throws {
        let range = ExtentMap(CollectionOfOne(Extent(offset: offset, length: UInt64(bytes.count))))
        try read(range, pool: pool) { filled in
            defer { pool.giveBack(filled.buffer) }
            let start = Int(filled.offset - offset)
            UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + filled.count])
                .copyMemory(from: filled.bytes)
        }
    }
}
