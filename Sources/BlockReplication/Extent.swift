/// A range of a disk in bytes, and whether it is known to read as zeros.
package struct Extent: Hashable, Sendable {
    /// First byte.
    package let offset: UInt64
    /// Number of bytes; never so long that `end` overflows.
    package let length: UInt64
    /// The whole range reads as zeros: nothing needs to be read or sent for it.
    package let isZero: Bool

    /// Makes an extent; an end beyond 2^64 is a programmer's mistake (values from a peer are checked before).
    package init(offset: UInt64, length: UInt64, isZero: Bool = false) {
        precondition(!offset.addingReportingOverflow(length).overflow, "extent ends beyond the 64-bit range")
        self.offset = offset
        self.length = length
        self.isZero = isZero
    }

    /// The byte after the last one.
    package var end: UInt64 { offset + length }
}

/// A sorted set of extents: no two overlap, and neighbours of the same kind are one.
///
/// Where two sets meet, the operation says whose kind (data or zero) holds.
package struct ExtentMap: Hashable, Sendable, RandomAccessCollection {
    private var extents: [Extent] = []

    /// The empty set.
    package init() {}

    /// Makes a set of extents in any order; where they overlap, the later one holds.
    package init(_ source: some Sequence<Extent>) {
        var runs: [ExtentMap] = []
        var run = ExtentMap()
        for extent in source where extent.length > 0 {
            if let last = run.extents.last, extent.offset < last.end {
                runs.append(run)
                run = ExtentMap()
            }
            run.appendAscending(extent)
        }
        runs.append(run)
        // Runs are joined in pairs, so that n extents in the worst order cost n log n.
        while runs.count > 1 {
            runs = stride(from: 0, to: runs.count, by: 2).map { index in
                index + 1 < runs.count ? runs[index].union(runs[index + 1]) : runs[index]
            }
        }
        self = runs[0]
    }

    /// The set of one data extent from 0 to `size`.
    package static func whole(_ size: UInt64) -> ExtentMap {
        ExtentMap(CollectionOfOne(Extent(offset: 0, length: size)))
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { extents.count }
    package subscript(position: Int) -> Extent { extents[position] }

    /// Bytes in all extents, data and zero.
    package var byteCount: UInt64 { extents.reduce(0) { $0 + $1.length } }

    /// Bytes in data extents alone.
    package var dataByteCount: UInt64 { extents.reduce(0) { $0 + ($1.isZero ? 0 : $1.length) } }

    /// Adds an extent; where it overlaps, it holds.
    ///
    /// At or after the end of the set this costs nothing.
    package mutating func insert(_ extent: Extent) {
        guard extent.length > 0 else { return }
        if let last = extents.last, extent.offset < last.end {
            self = union(ExtentMap(CollectionOfOne(extent)))
        } else {
            appendAscending(extent)
        }
    }

    /// Everything in either set; where both have a range, the kind in `newer` holds.
    package func union(_ newer: ExtentMap) -> ExtentMap {
        if extents.isEmpty { return newer }
        if newer.extents.isEmpty { return self }
        let older = subtracting(newer)
        var result = ExtentMap()
        result.extents.reserveCapacity(older.count + newer.count)
        var (i, j) = (0, 0)
        while i < older.count || j < newer.count {
            if j == newer.count || (i < older.count && older[i].offset < newer[j].offset) {
                result.appendAscending(older[i])
                i += 1
            } else {
                result.appendAscending(newer[j])
                j += 1
            }
        }
        return result
    }

    /// What is in this set and in the other, with this set's kinds.
    package func intersection(_ other: ExtentMap) -> ExtentMap {
        var result = ExtentMap()
        var j = 0
        for extent in extents {
            while j < other.count && other[j].end <= extent.offset { j += 1 }
            var k = j
            while k < other.count && other[k].offset < extent.end {
                let from = Swift.max(extent.offset, other[k].offset)
                let to = Swift.min(extent.end, other[k].end)
                result.appendAscending(Extent(offset: from, length: to - from, isZero: extent.isZero))
                k += 1
            }
        }
        return result
    }

    /// What is in this set and not in the other.
    package func subtracting(_ other: ExtentMap) -> ExtentMap {
        if extents.isEmpty || other.extents.isEmpty { return self }
        var result = ExtentMap()
        var j = 0
        for extent in extents {
            while j < other.count && other[j].end <= extent.offset { j += 1 }
            var from = extent.offset
            var k = j
            while from < extent.end, k < other.count, other[k].offset < extent.end {
                if other[k].offset > from {
                    result.appendAscending(
                        Extent(offset: from, length: other[k].offset - from, isZero: extent.isZero))
                }
                from = Swift.max(from, other[k].end)
                k += 1
            }
            if from < extent.end {
                result.appendAscending(Extent(offset: from, length: extent.end - from, isZero: extent.isZero))
            }
        }
        return result
    }

    /// The part below `size`.
    package func clipped(to size: UInt64) -> ExtentMap {
        if let last = extents.last, last.end > size { return intersection(.whole(size)) }
        return self
    }

    /// Every extent widened to whole granules, and cut at `size`.
    ///
    /// A granule that is zero only in part is data in the result, for nobody has said that its other bytes are zeros. The
    /// end of the disk counts as a granule's end. `granule` is a power of two.
    package func aligned(to granule: UInt64, size: UInt64) -> ExtentMap {
        precondition(granule.nonzeroBitCount == 1, "a granule is a power of two")
        let mask = granule - 1
        var data: [Extent] = []
        var zeros: [Extent] = []
        for extent in clipped(to: size).extents {
            let outerStart = extent.offset & ~mask
            let outerEnd = extent.end > size & ~mask ? size : (extent.end + mask) & ~mask
            guard extent.isZero else {
                data.append(Extent(offset: outerStart, length: outerEnd - outerStart))
                continue
            }
            let innerStart = (extent.offset + mask) & ~mask
            let innerEnd = extent.end == size ? size : extent.end & ~mask
            guard innerStart < innerEnd else {
                data.append(Extent(offset: outerStart, length: outerEnd - outerStart))
                continue
            }
            zeros.append(Extent(offset: innerStart, length: innerEnd - innerStart, isZero: true))
            if outerStart < innerStart {
                data.append(Extent(offset: outerStart, length: innerStart - outerStart))
            }
            if innerEnd < outerEnd { data.append(Extent(offset: innerEnd, length: outerEnd - innerEnd)) }
        }
        return ExtentMap(zeros).union(ExtentMap(data))
    }

    /// Appends an extent that begins at or after the end of the set, joining it with its neighbour.
    private mutating func appendAscending(_ extent: Extent) {
        if let last = extents.last, last.end == extent.offset, last.isZero == extent.isZero {
            extents[extents.count - 1] = Extent(
                offset: last.offset, length: last.length + extent.length, isZero: extent.isZero)
        } else {
            extents.append(extent)
        }
    }
}

extension ExtentMap: Codable {
    /// Reads the flat list written by `encode(to:)`; order is not trusted, overflow is refused.
    package init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        var list: [Extent] = []
        while !container.isAtEnd {
            let offset = try container.decode(UInt64.self)
            let length = try container.decode(UInt64.self)
            let kind = try container.decode(UInt64.self)
            guard !offset.addingReportingOverflow(length).overflow, kind <= 1 else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "extent out of range")
            }
            list.append(Extent(offset: offset, length: length, isZero: kind == 1))
        }
        self.init(list)
    }

    /// Writes a flat list: offset, length, 1 for zero or 0 for data, and so on.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        for extent in extents {
            try container.encode(extent.offset)
            try container.encode(extent.length)
            try container.encode(extent.isZero ? UInt64(1) : 0)
        }
    }
}
