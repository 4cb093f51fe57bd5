internal import Glibc

/// Writes the content of an overlay into the raw image beneath it.
///
/// While that is done, and until nothing is read through the overlay any more, the raw image is of use only beneath it: what is
/// read through it is the same before, meanwhile and after. Done again after a stop anywhere, it ends in the same.
enum BaseFold {
    /// Folds `overlay` into the raw image `base` from its L2 table `first` on, flushes that, and returns the bytes of data and
    /// zeros, and which of them were found not to be what had been written.
    ///
    /// `busy` while another process has the base open; nothing is changed then. `step` is called after each piece, with the
    /// table that is to be begun with should it throw: what was written until then is flushed first. `sums` are the checksums of
    /// both, where there are any: those of what is folded go along.
    static func fold(
        _ overlay: String, into base: String, from first: Int = 0,
        sums: (overlay: String?, base: String?) = (nil, nil), isolation: isolated (any Actor)? = #isolation,
        step: (_ next: Int) async throws -> Void
    ) async throws -> (bytes: UInt64, wrong: [Extent]) {
        let overlay = try OverlayReader(opening: overlay)
        let baseSums = try sums.base.map { try BlockSums(updating: $0, size: overlay.size) }
        var copy = CheckedCopy(
            source: overlay.file, sums: try sums.overlay.map { try BlockSums(reading: $0, size: overlay.size) })
        let lock = try WriteLock(base)
        defer { withExtendedLifetime(lock) {} }
        let base = try ImageFile(updating: base)
        // A disk that has grown since the first copy; what is new reads as zeros until it is written below.
        if try base.length() < overlay.size { try base.truncate(to: overlay.size) }
        let table = L2Buffer()
        var (bytes, inPiece): (UInt64, UInt64) = (0, 0)
        func pause(_ next: Int) async throws {
            do { try await step(next) } catch {
                try base.sync()
                try baseSums?.sync()
                throw error
            }
        }
        for index in overlay.l1.indices.dropFirst(first) where overlay.l1[index] != 0 {
            try overlay.load(index, into: table)
            for slot in stride(from: 0, to: table.words.count, by: 2) {
                let (place, bits) = (table.words[slot], table.words[slot + 1])
                if bits == 0 { continue }
                let start = UInt64(index) * OverlayLayout.bytesPerL2 + UInt64(slot / 2) * OverlayLayout.clusterSize
                func range(_ first: UInt64, _ count: UInt64) -> (within: UInt64, from: UInt64, length: UInt64)? {
                    let within = first << OverlayLayout.subclusterBits
                    let from = start + within
                    guard from < overlay.size else { return nil }
                    return (within, from, min(count << OverlayLayout.subclusterBits, overlay.size - from))
                }
                try SubclusterRuns.forEach(in: bits & 0xFFFF_FFFF) { first, count in
                    guard let range = range(first, count) else { return }
                    try copy.copy(place: place + range.within, offset: range.from, length: range.length) {
                        try base.write($0, at: $2)
                        if let known = $1 { try baseSums?.put(known, at: $2) } else { try baseSums?.note($0, at: $2) }
                    }
                    inPiece += range.length
                }
                try SubclusterRuns.forEach(in: bits >> 32) { first, count in
                    guard let range = range(first, count) else { return }
                    try base.punchHole(at: range.from, length: range.length)
                    try baseSums?.clear(offset: range.from, length: range.length)
                    inPiece += range.length
                }
                if inPiece >= OverlayLayout.piece {
                    (bytes, inPiece) = (bytes + inPiece, 0)
                    try await pause(index)
                }
            }
            (bytes, inPiece) = (bytes + inPiece, 0)
            try await pause(index + 1)
        }
        try base.sync()
        try baseSums?.sync()
        return (bytes, copy.wrong)
    }
}

/// QEMU's own lock on an image that nobody has open, held until this goes: no QEMU opens it meanwhile.
private final class WriteLock {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ReplicationError.system("opening an image", path: path, errno: errno) }
        do { try ImageReadLock.takeToWrite(descriptor, path: path) } catch {
            close(descriptor)
            throw error
        }
    }

    deinit {
        ImageReadLock.release(descriptor)
        close(descriptor)
    }
}
