import CZstd
import Glibc

/// Compresses content, one zstd frame for each piece, with zstd's own checksum of what was compressed.
///
/// Confined to one thread.
final class Packer {
    private static let level: Int32 = 1
    /// Compressed content that is not shorter by one part in so many is not worth unpacking.
    private static let leastGain = 16

    private let context: OpaquePointer
    private let space: UnsafeMutableRawBufferPointer

    /// Nil when there is no memory for it.
    init?() {
        guard let context = ZSTD_createCCtx() else { return nil }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Self.level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
        ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1)
        space = .allocate(byteCount: Int(FrameKind.longestContent), alignment: 4096)
    }

    deinit {
        ZSTD_freeCCtx(context)
        space.deallocate()
    }

    /// The compressed bytes, valid until the next call; nil when they would not be shorter by enough.
    func pack(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        // zstd stops when the room is used up: what does not shrink is found out early.
        let room = min(space.count, bytes.count - bytes.count / Self.leastGain)
        let count = ZSTD_compress2(context, space.baseAddress, room, bytes.baseAddress, bytes.count)
        guard ZSTD_isError(count) == 0 else { return nil }
        return UnsafeRawBufferPointer(rebasing: space[..<count])
    }
}

/// Unpacks what a peer has compressed, bounded whatever it sends.
///
/// Confined to one thread.
final class Unpacker {
    private let context: OpaquePointer
    private let space: UnsafeMutableRawBufferPointer

    init() throws {
        guard let context = ZSTD_createDCtx() else {
            throw ReplicationError.system("making room for unpacking", errno: ENOMEM)
        }
        self.context = context
        space = .allocate(byteCount: Int(FrameKind.longestContent), alignment: 4096)
    }

    deinit {
        ZSTD_freeDCtx(context)
        space.deallocate()
    }

    /// The content, valid until the next call.
    ///
    /// `protocolViolation` when the payload is not one whole zstd frame that tells a size of 1 byte to 1 MiB;
    /// `checksumMismatch` when it unpacks to something else than was packed.
    func unpack(_ payload: UnsafeRawBufferPointer) throws -> UnsafeRawBufferPointer {
        let told = ZSTD_getFrameContentSize(payload.baseAddress, payload.count)
        // The two marks for "unknown" and "no frame" are the largest numbers there are.
        guard told > 0, told <= FrameKind.longestContent,
            ZSTD_findFrameCompressedSize(payload.baseAddress, payload.count) == payload.count
        else { throw ReplicationError.malformed("compressed content is not one frame of at most 1 MiB") }
        let count = ZSTD_decompressDCtx(
            context, space.baseAddress, Int(told), payload.baseAddress, payload.count)
        guard ZSTD_isError(count) == 0, count == Int(told) else {
            throw ReplicationError(
                .checksumMismatch, "compressed content unpacks to something else than was sent",
                hint: "check the memory of both hosts, then start the cycle again; nothing of the frame was written")
        }
        return UnsafeRawBufferPointer(rebasing: space[..<count])
    }
}
