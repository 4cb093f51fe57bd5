/// What a frame between two agents is.
enum FrameKind: UInt16, Sendable {
    /// First frame of the sender: version, ticket, disk.
    case hello = 1
    /// The receiver is ready for frames.
    case welcome = 2
    /// Content of the disk.
    case data = 3
    /// A range of zeros; `length` is a range of the disk, there is no payload.
    case zero = 4
    /// The key for the hashes of this transfer.
    case hashKey = 5
    /// Asks for the hashes of a range of the disk; no payload.
    case hashRequest = 6
    /// Hashes of the blocks of the range asked for, 16 bytes each.
    case hashReply = 7
    /// All is sent: count of frames, bytes, and running checksum.
    case end = 8
    /// All has arrived, agrees, and is on stable storage.
    case ack = 9
    /// The transfer has failed: code, message and hint.
    case failure = 10
    /// Nothing to say, but alive.
    case heartbeat = 11
    /// Asks which hashes the 4 KiB blocks of some ranges have in the receiver's newest state; see `BlockQuestion`.
    case blockRequest = 12
    /// Those hashes, 16 bytes each, in the order asked for; nothing when the receiver cannot tell.
    case blockReply = 13
    /// Content of the disk, compressed: one zstd frame that tells its own content's size; see `Unpacker`.
    case packed = 14

    /// The most bytes of the disk that one frame may carry.
    static let longestContent: UInt64 = 1 << 20

    /// The most payload that a frame of this kind may carry; zero where `length` is a range of the disk.
    var payloadLimit: UInt64 {
        switch self {
        case .data, .packed: Self.longestContent
        case .hello: 4096
        case .hashKey: UInt64(KeyedHasher.keySize)
        case .hashReply, .blockReply: 64 << 10
        case .blockRequest: UInt64(BlockQuestion.mostRanges * BlockQuestion.rangeSize)
        case .end: 32
        case .ack: 16
        case .failure: 16 << 10
        case .welcome, .zero, .hashRequest, .heartbeat: 0
        }
    }

    /// `length` counts bytes of the disk, not of a payload.
    var namesRange: Bool { self == .zero || self == .hashRequest }
}

/// The 32 bytes before each payload, all numbers big-endian:
/// magic (4), kind (2), zero (2), offset (8), length (8), checksum over the first 24 bytes and the payload (8).
struct FrameHeader: Equatable, Sendable {
    static let size = 32
    static let checkedSize = 24
    /// "PLN1".
    static let magic: UInt32 = 0x504C_4E31

    var kind: FrameKind
    var offset: UInt64
    var length: UInt64
    var checksum: UInt64 = 0

    var payloadLength: Int { kind.namesRange ? 0 : Int(length) }

    /// Writes the header with the checksum of itself and the payload.
    mutating func seal(payload: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer) {
        bytes.storeBytes(of: Self.magic.bigEndian, as: UInt32.self)
        bytes.storeBytes(of: kind.rawValue.bigEndian, toByteOffset: 4, as: UInt16.self)
        bytes.storeBytes(of: 0, toByteOffset: 6, as: UInt16.self)
        bytes.storeBytes(of: offset.bigEndian, toByteOffset: 8, as: UInt64.self)
        bytes.storeBytes(of: length.bigEndian, toByteOffset: 16, as: UInt64.self)
        checksum = frameChecksum(
            header: UnsafeRawBufferPointer(rebasing: bytes[..<Self.checkedSize]), payload: payload)
        bytes.storeBytes(of: checksum.bigEndian, toByteOffset: 24, as: UInt64.self)
    }

    /// Reads a header from the peer and refuses whatever is not exactly as it must be.
    init(_ bytes: UnsafeRawBufferPointer) throws {
        guard UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)) == Self.magic else {
            throw ReplicationError.malformed("a frame does not begin with the protocol's mark")
        }
        let number = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self))
        guard let kind = FrameKind(rawValue: number) else {
            throw ReplicationError.malformed("a frame is of unknown kind \(number)")
        }
        guard bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self) == 0 else {
            throw ReplicationError.malformed("a frame has bits set that must be zero")
        }
        self.kind = kind
        offset = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        length = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        checksum = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
        guard kind.namesRange || length <= kind.payloadLimit else {
            throw ReplicationError.malformed("a frame (\(kind)) announces \(length) bytes, more than its kind may have")
        }
        guard !offset.addingReportingOverflow(length).overflow else {
            throw ReplicationError.malformed("a frame's range ends beyond 2^64")
        }
    }

    init(kind: FrameKind, offset: UInt64 = 0, length: UInt64 = 0) {
        self.kind = kind
        self.offset = offset
        self.length = length
    }
}

extension ReplicationError {
    /// The peer sent what the protocol does not allow.
    static func malformed(_ message: String) -> ReplicationError {
        ReplicationError(
            .protocolViolation, message,
            hint: "check that both agents run the same version and that nothing else connects to the agent's port")
    }
}
