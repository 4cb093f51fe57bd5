/// Keyed hashes of a disk's blocks on a fixed grid: how two sides find what differs without a bitmap.
enum BlockHashes {
    /// Bytes of a block; the last one of a disk may be shorter.
    static let block: UInt64 = 64 << 10
    /// Bytes of disk that are hashed as one range: one question and one answer on the wire.
    static let range: UInt64 = 64 << 20

    /// How many blocks a range has.
    static func count(_ length: UInt64) -> Int { Int((length + block - 1) / block) }

    /// Hashes of the blocks of a range that begins at a block's start; blocks known to be zero are not read.
    static func hash(
        _ source: any ExtentSource, offset: UInt64, length: UInt64, hasher: KeyedHasher, pool: BufferPool
    ) throws -> [Hash128] {
        var hashes = [Hash128](repeating: .zero, count: count(length))
        let range = ExtentMap(CollectionOfOne(Extent(offset: offset, length: length)))
        // Whole blocks: one that is zero only in part is data.
        let allocation = try source.allocation(of: range).aligned(to: block, size: source.size)
        try source.read(allocation, pool: pool) { filled in
            defer { pool.giveBack(filled.buffer) }
            var done = 0
            while done < filled.count {
                let count = min(Int(block), filled.count - done)
                let bytes = UnsafeRawBufferPointer(rebasing: filled.bytes[done..<done + count])
                hashes[Int((filled.offset + UInt64(done) - offset) / block)] = hasher.hash(bytes)
                done += count
            }
        }
        return hashes
    }
}
