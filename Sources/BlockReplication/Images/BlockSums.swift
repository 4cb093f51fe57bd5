internal import CXXHash
internal import Synchronization

/// Checksums of a disk's blocks of 4 KiB as they stand in one image: made while the blocks are written, checked when they are read.
///
/// A sparse file of its own, 4 bytes for each block of the disk at four times the block's number, in the machine's byte order:
/// the low half of the block's XXH3-64, and 0 where the image holds nothing (btrfs keeps as much). So memory does not grow with
/// the disk, writes come in any order, and where blocks move from one image to another their checksums move along.
final class BlockSums: Sendable {
    private let file: ImageFile
    let size: UInt64
    private let hasSome: Mutex<Bool>

    private static let width: UInt64 = 4
    /// Blocks that are looked at in one go.
    private static let piece = 4096

    /// Creates the file; no block has a checksum.
    init(creating path: String, size: UInt64) throws {
        file = try ImageFile(creating: path)
        self.size = size
        hasSome = Mutex(false)
        try file.truncate(to: Self.length(size))
    }

    /// Opens a file to go on with, for a disk that may have grown since.
    init(updating path: String, size: UInt64) throws {
        file = try ImageFile(updating: path)
        self.size = size
        hasSome = Mutex(true)
        if try file.length() < Self.length(size) { try file.truncate(to: Self.length(size)) }
    }

    /// Opens a file to check by; `damaged` when it is shorter than the disk's must be.
    init(reading path: String, size: UInt64) throws {
        file = try ImageFile(reading: path)
        self.size = size
        hasSome = Mutex(true)
        guard try file.length() >= Self.length(size) else {
            throw ReplicationError(
                .damaged, "a file of checksums has another length than its disk asks for",
                hint: "verify the VM: that compares it with its source", context: ["path": path])
        }
    }

    /// The checksum of one block; never 0.
    static func sum(_ block: UnsafeRawBufferPointer) -> UInt32 {
        let value = UInt32(truncatingIfNeeded: xxh3_64bits(block.baseAddress, block.count))
        return value == 0 ? 1 : value
    }

    /// Whether any block has, or may have, a checksum.
    var isUsed: Bool { hasSome.withLock { $0 } }

    /// Notes what was written at an offset: whole blocks, or up to the end of the disk.
    func note(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
        guard !bytes.isEmpty else { return }
        hasSome.withLock { $0 = true }
        let block = Int(BlockGrid.block)
        let count = (bytes.count + block - 1) / block
        try withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { sums in
            for index in 0..<count {
                let at = index * block
                sums[index] = Self.sum(
                    UnsafeRawBufferPointer(rebasing: bytes[at..<min(at + block, bytes.count)]))
            }
            try file.write(UnsafeRawBufferPointer(sums), at: Self.place(offset))
        }
    }

    /// Puts checksums that are known already in place.
    func put(_ sums: UnsafeBufferPointer<UInt32>, at offset: UInt64) throws {
        hasSome.withLock { $0 = true }
        try file.write(UnsafeRawBufferPointer(sums), at: Self.place(offset))
    }

    /// Forgets the checksums of a range; nothing is written where there are none.
    func clear(offset: UInt64, length: UInt64) throws {
        guard isUsed else { return }
        let end = offset + length
        let room = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: Self.piece)
        defer { room.deallocate() }
        var at = offset
        while at < end {
            let count = Int(min(UInt64(Self.piece), (end - at + BlockGrid.block - 1) / BlockGrid.block))
            let part = UnsafeMutableBufferPointer(rebasing: room[..<count])
            try read(into: part, at: at)
            if !isZero(UnsafeRawBufferPointer(part)) {
                part.update(repeating: 0)
                try file.write(UnsafeRawBufferPointer(part), at: Self.place(at))
            }
            at += UInt64(count) * BlockGrid.block
        }
    }

    /// Notes checksums that the blocks of a range do not fit, whatever `read` says that they hold.
    func spoil(_ range: Extent, read: (_ bytes: UnsafeMutableRawBufferPointer, _ at: UInt64) throws -> Void) throws {
        let (block, piece) = (Int(BlockGrid.block), 1 << 20)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 4096)
        defer { room.deallocate() }
        for at in stride(from: range.offset, to: min(range.end, size), by: piece) {
            let bytes = UnsafeMutableRawBufferPointer(
                rebasing: room[..<Int(min(UInt64(piece), min(range.end, size) - at))])
            try read(bytes, at)
            let sums = stride(from: 0, to: bytes.count, by: block).map { start -> UInt32 in
                let part = bytes[start..<min(start + block, bytes.count)]
                let other = ~Self.sum(UnsafeRawBufferPointer(rebasing: part))
                return other == 0 ? 2 : other
            }
            try sums.withUnsafeBufferPointer { try put($0, at: at) }
        }
    }

    /// Forgets the checksums of all from an offset on.
    func dropBeyond(_ offset: UInt64) throws {
        try file.truncate(to: Self.place((offset + BlockGrid.block - 1) & ~(BlockGrid.block - 1)))
        try file.truncate(to: Self.length(size))
    }

    /// Reads the checksums of the blocks from an offset on.
    func read(into sums: UnsafeMutableBufferPointer<UInt32>, at offset: UInt64) throws {
        try file.read(into: UnsafeMutableRawBufferPointer(sums), at: Self.place(offset))
    }

    /// Where on the disk, at or after an offset, a block may have a checksum, as far as the file's own holes tell.
    func nextUsed(from offset: UInt64) throws -> UInt64? {
        try file.nextData(from: Self.place(offset)).map { max(offset, $0 / Self.width * BlockGrid.block) }
    }

    func sync() throws { try file.sync() }

    private static func place(_ offset: UInt64) -> UInt64 { offset / BlockGrid.block * width }

    private static func length(_ size: UInt64) -> UInt64 { (size + BlockGrid.block - 1) / BlockGrid.block * width }
}

extension BlockSums {
    /// Compares bytes that were read with their checksums; returns the ranges of the blocks that are not what was written.
    ///
    /// A block without a checksum counts as one that must be zero where `holesAreZero`, and as wrong elsewhere. `known` is
    /// filled with the checksums as they are recorded, when given.
    func check(
        _ bytes: UnsafeRawBufferPointer, at offset: UInt64, holesAreZero: Bool,
        known: UnsafeMutableBufferPointer<UInt32>? = nil
    ) throws -> [Extent] {
        let block = Int(BlockGrid.block)
        let count = (bytes.count + block - 1) / block
        return try withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { sums in
            try read(into: sums, at: offset)
            var wrong: [Extent] = []
            for index in 0..<count {
                let at = index * block
                let content = UnsafeRawBufferPointer(rebasing: bytes[at..<min(at + block, bytes.count)])
                known?[index] = sums[index]
                if sums[index] == 0, holesAreZero, isZero(content) { continue }
                if sums[index] == Self.sum(content) { continue }
                wrong.append(Extent(offset: offset + UInt64(at), length: UInt64(content.count)))
            }
            return wrong
        }
    }
}
