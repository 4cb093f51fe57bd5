import CXXHash
import Glibc

/// XXH3 of 64 bits over a frame's header and payload.
///
/// The header's own hash is the seed of the payload's, so one number covers offset, length and content. Source: XXH3's
/// reference implementation, `XXH3_64bits_withSeed`.
func frameChecksum(header: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) -> UInt64 {
    let seed = xxh3_64bits(header.baseAddress, header.count)
    guard let base = payload.baseAddress, !payload.isEmpty else { return seed }
    return xxh3_64bits_with_seed(base, payload.count, seed)
}

/// A hash of 128 bits; zero stands for a block of zeros.
struct Hash128: Hashable, Sendable {
    var high: UInt64
    var low: UInt64

    static let zero = Hash128(high: 0, low: 0)
    /// What is answered of a block of which nothing is known: equal to no block's hash, so that the block travels.
    static let unknown = Hash128(high: .max, low: .max)

    /// 32 hexadecimal digits.
    var hexadecimal: String { Self.digits(high) + Self.digits(low) }

    private static func digits(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}

/// XXH3 of 128 bits over what is fed to it in turn.
final class RunningChecksum {
    private let state: OpaquePointer

    init() {
        guard let state = XXH3_createState() else { fatalError("no memory for a checksum's state") }
        self.state = state
        _ = XXH3_128bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    func update(_ bytes: UnsafeRawBufferPointer) {
        _ = xxh3_128bits_update(state, bytes.baseAddress, bytes.count)
    }

    var value: Hash128 {
        let digest = XXH3_128bits_digest(state)
        return Hash128(high: digest.high64, low: digest.low64)
    }
}

/// Hashes blocks with a secret, so that nobody who writes a disk can make two blocks that look equal.
struct KeyedHasher: Sendable {
    /// Bytes of random key: as many as XXH3's own default secret has.
    static let keySize = 192

    private let secret: [UInt8]

    /// Takes `keySize` random bytes as the secret.
    init(key: [UInt8]) {
        precondition(key.count == Self.keySize, "a hash key has \(Self.keySize) bytes")
        secret = key
    }

    /// The hash of one block; zero when all its bytes are.
    func hash(_ block: UnsafeRawBufferPointer) -> Hash128 {
        if isZero(block) { return .zero }
        let digest = secret.withUnsafeBytes {
            xxh3_128bits_with_secret(block.baseAddress, block.count, $0.baseAddress, $0.count)
        }
        return Hash128(high: digest.high64, low: digest.low64)
    }
}

/// Whether all bytes are zero: the first byte is, and each equals its neighbour (libc compares with the widest
/// registers).
func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return true }
    guard bytes[0] == 0 else { return false }
    return bytes.count == 1 || memcmp(base, base + 1, bytes.count - 1) == 0
}
