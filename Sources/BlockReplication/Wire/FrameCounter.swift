/// What the frames of one disk add up to; both sides count, and compare at the end.
///
/// The checksum runs over the frames' headers: each holds the checksum of its own content, so the whole stands for
/// every byte and for the order of sending, and no byte is hashed twice.
struct FrameCounter {
    private let running = RunningChecksum()
    private var frames: UInt64 = 0
    private var bytes: UInt64 = 0

    /// Takes in the header, as it stands on the wire, of a data or zero frame with `bytes` of content.
    mutating func count(_ header: UnsafeRawBufferPointer, bytes: Int) {
        running.update(header)
        frames += 1
        self.bytes += UInt64(bytes)
    }

    var summary: FrameSummary { FrameSummary(frames: frames, bytes: bytes, checksum: running.value) }
}

/// The payload of an end frame: frames (8), content bytes (8), checksum (16), big-endian.
struct FrameSummary: Equatable, Sendable {
    var frames: UInt64
    var bytes: UInt64
    var checksum: Hash128

    init(frames: UInt64, bytes: UInt64, checksum: Hash128) {
        self.frames = frames
        self.bytes = bytes
        self.checksum = checksum
    }

    init(_ payload: UnsafeRawBufferPointer) throws {
        guard payload.count == 32 else { throw ReplicationError.malformed("an end frame has another size than 32") }
        frames = UInt64(bigEndian: payload.loadUnaligned(as: UInt64.self))
        bytes = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        checksum = Hash128(payload, at: 1)
    }

    func encoded() -> [UInt8] { frames.bigEndianBytes + bytes.bigEndianBytes + checksum.bytes }
}

extension Hash128 {
    /// 16 bytes, big-endian, the high half first.
    var bytes: [UInt8] { high.bigEndianBytes + low.bigEndianBytes }

    /// The hash at position `index` of a list of hashes.
    init(_ list: UnsafeRawBufferPointer, at index: Int) {
        high = UInt64(bigEndian: list.loadUnaligned(fromByteOffset: index * 16, as: UInt64.self))
        low = UInt64(bigEndian: list.loadUnaligned(fromByteOffset: index * 16 + 8, as: UInt64.self))
    }
}

extension UInt64 {
    var bigEndianBytes: [UInt8] { Swift.withUnsafeBytes(of: bigEndian) { Array($0) } }
}
