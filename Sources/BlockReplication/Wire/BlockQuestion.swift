/// The payload of a question for block hashes: ranges of the disk, each an offset (8) and a length (8), big-endian.
///
/// Ranges ascend, begin at multiples of 4096 and end at one or at the end of the disk.
enum BlockQuestion {
    static let rangeSize = 16
    /// The most ranges of one question.
    static let mostRanges = 1024
    /// The most blocks of one question: as many hashes as fit an answer.
    static let mostBlocks = 4096

    /// How many blocks a range of this length has; the last one may be cut by the end of the disk.
    static func blocks(_ length: UInt64) -> Int { Int((length + BlockGrid.block - 1) / BlockGrid.block) }

    static func encode(_ ranges: [ByteRange]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ranges.count * rangeSize)
        for range in ranges { bytes += range.offset.bigEndianBytes + range.length.bigEndianBytes }
        return bytes
    }

    /// Reads a question of the peer; refuses what does not lie on a disk of `size` bytes or asks for too much.
    static func decode(_ payload: UnsafeRawBufferPointer, size: UInt64) throws -> [ByteRange] {
        guard !payload.isEmpty, payload.count % rangeSize == 0 else {
            throw ReplicationError.malformed("a question for block hashes has no whole ranges")
        }
        var ranges: [ByteRange] = []
        ranges.reserveCapacity(payload.count / rangeSize)
        var (end, left) = (UInt64(0), mostBlocks)
        for at in stride(from: 0, to: payload.count, by: rangeSize) {
            let offset = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            let length = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
            guard offset >= end, offset < size, length > 0, length <= size - offset,
                offset % BlockGrid.block == 0, length % BlockGrid.block == 0 || offset + length == size,
                length <= UInt64(left) * BlockGrid.block
            else {
                throw ReplicationError.malformed("a question for block hashes names a range that cannot be asked for")
            }
            end = offset + length
            left -= blocks(length)
            ranges.append(ByteRange(offset: offset, length: length))
        }
        return ranges
    }
}
