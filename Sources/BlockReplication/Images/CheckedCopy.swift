/// Copies what an overlay holds to another image through memory, and checks it against its checksums on the way.
///
/// A block that is not what was written is copied as it is and keeps the checksum that it does not fit: so it is found again
/// by whoever looks, and is never taken for good because it was rewritten.
struct CheckedCopy {
    /// Where blocks go, with the checksums that go with them.
    typealias Sink = (_ bytes: UnsafeRawBufferPointer, _ sums: UnsafeBufferPointer<UInt32>?, _ offset: UInt64) throws ->
        Void

    let source: ImageFile
    /// Of the source; nil where none were kept.
    let sums: BlockSums?
    private(set) var wrong: [Extent] = []
    private let room = Room()

    private final class Room {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        let sums = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: (1 << 20) / 4096)

        deinit {
            bytes.deallocate()
            sums.deallocate()
        }
    }

    init(source: ImageFile, sums: BlockSums?) {
        self.source = source
        self.sums = sums
    }

    /// Copies a range of the disk that lies at `place` in the source.
    mutating func copy(place: UInt64, offset: UInt64, length: UInt64, to sink: Sink) throws {
        // Behind its end a file reads as zeros: a table that names that place is damaged, and nothing is made of it.
        let end = try source.length()
        guard place + length <= end else { throw source.endsEarly(at: end) }
        var done: UInt64 = 0
        while done < length {
            let count = Int(min(UInt64(room.bytes.count), length - done))
            let part = UnsafeMutableRawBufferPointer(rebasing: room.bytes[..<count])
            try source.read(into: part, at: place + done)
            let bytes = UnsafeRawBufferPointer(part)
            if let sums {
                let blocks = (count + Int(BlockGrid.block) - 1) / Int(BlockGrid.block)
                let known = UnsafeMutableBufferPointer(rebasing: room.sums[..<blocks])
                wrong += try sums.check(bytes, at: offset + done, holesAreZero: false, known: known)
                try sink(bytes, UnsafeBufferPointer(known), offset + done)
            } else {
                try sink(bytes, nil, offset + done)
            }
            done += UInt64(count)
        }
    }
}
