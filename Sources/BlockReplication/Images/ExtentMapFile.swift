internal import CXXHash
internal import Foundation

/// The compact form in which extent maps are kept beside the points.
///
/// Eight bytes of magic, one byte of shift (offsets and lengths are multiples of 2^shift), the number of extents, then for each
/// extent the gap since the last one's end and twice its length, plus one for zeros: all as LEB128. XXH3-64 of all that, big
/// endian, closes the file. An extent of random 4 KiB writes takes 3 to 5 bytes.
enum ExtentMapFile {
    private static let magic = Array("PRLXMAP1".utf8)

    static func encode(_ map: ExtentMap) -> Data {
        let shift = UInt8(min(63, map.reduce(UInt64(0)) { $0 | $1.offset | $1.length }.trailingZeroBitCount))
        var data = Data(magic)
        data.append(shift)
        append(UInt64(map.count), to: &data)
        var end: UInt64 = 0
        for extent in map {
            append((extent.offset - end) >> shift, to: &data)
            append((extent.length >> shift) << 1 | (extent.isZero ? 1 : 0), to: &data)
            end = extent.end
        }
        data.append(bigEndian: hash(data))
        return data
    }

    /// Reads a map back; anything that is not what `encode` wrote is `.damaged`.
    static func decode(_ data: Data, path: String) throws -> ExtentMap {
        let damaged = ReplicationError(
            .damaged, "an extent map is damaged", hint: "compare the disks by hash: the map cannot be used",
            context: ["path": path])
        guard data.count >= magic.count + 10, data.starts(with: magic),
            data.big64(data.count - 8) == hash(data.prefix(data.count - 8))
        else { throw damaged }
        let shift = UInt64(data[data.startIndex + magic.count])
        let extents: [Extent]? = data.dropFirst(magic.count + 1).dropLast(8).withUnsafeBytes { bytes in
            var reader = Reader(bytes: bytes)
            guard shift < 64, let count = reader.next(), count <= UInt64(bytes.count) else { return nil }
            var extents: [Extent] = []
            extents.reserveCapacity(Int(count))
            var end: UInt64 = 0
            for _ in 0..<count {
                guard let gap = reader.next(), let word = reader.next(), gap <= .max >> shift,
                    word >> 1 <= .max >> shift
                else { return nil }
                let (offset, over) = end.addingReportingOverflow(gap << shift)
                let (next, beyond) = offset.addingReportingOverflow((word >> 1) << shift)
                guard !over, !beyond else { return nil }
                extents.append(Extent(offset: offset, length: next - offset, isZero: word & 1 == 1))
                end = next
            }
            return reader.isAtEnd ? extents : nil
        }
        guard let extents else { throw damaged }
        return ExtentMap(extents)
    }

    private static func hash(_ data: Data) -> UInt64 {
        data.withUnsafeBytes { xxh3_64bits($0.baseAddress, $0.count) }
    }

    private static func append(_ value: UInt64, to data: inout Data) {
        var rest = value
        while rest >= 0x80 {
            data.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        data.append(UInt8(rest))
    }

    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func next() -> UInt64? {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), through: 63, by: 7) {
                guard position < bytes.count else { return nil }
                let byte = bytes[position]
                position += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte & 0x80 == 0 { return value }
            }
            return nil
        }
    }
}
