package import BlockReplication
package import SiteModel

/// Which write made a stretch of a disk what it is.
///
/// Numbers are counted up through the whole world, so two stretches are the same bytes exactly when their numbers are.
package struct WriteStamp: Hashable, Sendable {
    /// 0 stands for zeros.
    package var version: UInt64
    package var at: Timestamp

    package init(version: UInt64, at: Timestamp) {
        self.version = version
        self.at = at
    }

    package static let zeros = WriteStamp(version: 0, at: Timestamp(milliseconds: 0))
}

/// A disk's content without its bytes: which write each stretch was last made by.
///
/// Stretches that are not listed are not allocated: they read as what lies beneath, or as zeros.
package struct VersionedExtents: Hashable, Sendable {
    package struct Run: Hashable, Sendable {
        package var offset: UInt64
        package var end: UInt64
        package var stamp: WriteStamp

        package var length: UInt64 { end - offset }
    }

    /// In order, without overlaps.
    package private(set) var runs: [Run] = []
    /// Bytes in all runs.
    package private(set) var byteCount: UInt64 = 0

    package init() {}

    package init(whole size: UInt64, stamp: WriteStamp) {
        guard size > 0 else { return }
        runs = [Run(offset: 0, end: size, stamp: stamp)]
        byteCount = size
    }

    /// The newest write in it.
    package var newest: WriteStamp? { runs.map(\.stamp).max { $0.version < $1.version } }

    /// Lays one stretch over what is there.
    package mutating func write(offset: UInt64, end: UInt64, stamp: WriteStamp) {
        guard offset < end else { return }
        let run = Run(offset: offset, end: end, stamp: stamp)
        let first = firstIndex(endingAfter: offset)
        if first < runs.count, runs[first].offset == offset, runs[first].end == end {
            runs[first].stamp = stamp
            return
        }
        var last = first
        var removed: UInt64 = 0
        while last < runs.count, runs[last].offset < end {
            removed += runs[last].length
            last += 1
        }
        var pieces: [Run] = []
        var added = run.length
        if first < last, runs[first].offset < offset {
            var left = runs[first]
            left.end = offset
            pieces.append(left)
            added += left.length
        }
        pieces.append(run)
        if first < last, runs[last - 1].end > end {
            var right = runs[last - 1]
            right.offset = end
            pieces.append(right)
            added += right.length
        }
        runs.replaceSubrange(first..<last, with: pieces)
        byteCount = byteCount - removed + added
    }

    /// Lays another content over this one.
    package mutating func overlay(_ newer: VersionedExtents) {
        guard let first = runs.first, let last = runs.last, let next = newer.runs.first else {
            if runs.isEmpty { self = newer }
            return
        }
        if last.end <= next.offset {
            runs += newer.runs
            byteCount += newer.byteCount
            return
        }
        // In one pass over both: laying runs down one by one would move all that lie behind each.
        let older = runs
        runs = []
        runs.reserveCapacity(older.count + 2 * newer.runs.count)
        byteCount = 0
        var (index, rest) = (0, first)
        func advance() {
            index += 1
            if index < older.count { rest = older[index] }
        }
        for run in newer.runs {
            while index < older.count, rest.end <= run.offset {
                append(rest)
                advance()
            }
            if index < older.count, rest.offset < run.offset {
                append(Run(offset: rest.offset, end: run.offset, stamp: rest.stamp))
            }
            while index < older.count, rest.end <= run.end { advance() }
            if index < older.count { rest.offset = max(rest.offset, run.end) }
            append(run)
        }
        while index < older.count {
            append(rest)
            advance()
        }
    }

    private mutating func append(_ run: Run) {
        runs.append(run)
        byteCount += run.length
    }

    /// The runs within a range, cut at its ends.
    package func slice(_ offset: UInt64, _ end: UInt64) -> VersionedExtents {
        var result = VersionedExtents()
        var index = firstIndex(endingAfter: offset)
        while index < runs.count, runs[index].offset < end {
            let run = runs[index]
            result.append(Run(offset: max(run.offset, offset), end: min(run.end, end), stamp: run.stamp))
            index += 1
        }
        return result
    }

    /// Where the first `bytes` bytes of the runs end, on a grid; nil when they are all.
    package func end(ofFirst bytes: UInt64, grid: UInt64) -> UInt64? {
        var left = bytes
        for run in runs {
            if run.length > left {
                let end = (run.offset + left + grid - 1) / grid * grid
                return runs.last.map { end >= $0.end } == true ? nil : end
            }
            left -= run.length
        }
        return nil
    }

    /// What must be written over `other` so that it reads as this does, within a range: zeros where only the other has data.
    package func difference(from other: VersionedExtents, _ offset: UInt64, _ end: UInt64) -> VersionedExtents {
        var result = VersionedExtents()
        var (mine, theirs) = (firstIndex(endingAfter: offset), other.firstIndex(endingAfter: offset))
        var position = offset
        while position < end {
            let (stamp, until) = at(position, &mine, end)
            let (their, theirEnd) = other.at(position, &theirs, end)
            let next = min(until, theirEnd)
            if stamp.version != their.version {
                if let last = result.runs.last, last.end == position, last.stamp == stamp {
                    result.runs[result.runs.count - 1].end = next
                } else {
                    result.runs.append(Run(offset: position, end: next, stamp: stamp))
                }
                result.byteCount += next - position
            }
            position = next
        }
        return result
    }

    /// Whether both read alike up to `size`.
    package func readsLike(_ other: VersionedExtents, size: UInt64) -> Bool {
        difference(from: other, 0, size).runs.isEmpty
    }

    /// What is at a position, and up to where; `index` moves along.
    private func at(_ position: UInt64, _ index: inout Int, _ end: UInt64) -> (WriteStamp, UInt64) {
        while index < runs.count, runs[index].end <= position { index += 1 }
        guard index < runs.count else { return (.zeros, end) }
        let run = runs[index]
        return run.offset > position ? (.zeros, min(run.offset, end)) : (run.stamp, min(run.end, end))
    }

    private func firstIndex(endingAfter offset: UInt64) -> Int {
        var (low, high) = (0, runs.count)
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The allocated stretches.
    package var ranges: [ByteRange] {
        var ranges: [ByteRange] = []
        for run in runs {
            if let last = ranges.last, last.offset + last.length == run.offset {
                ranges[ranges.count - 1].length += run.length
            } else {
                ranges.append(ByteRange(offset: run.offset, length: run.length))
            }
        }
        return ranges
    }
}

/// What is read through a chain of files at one instant, newest first.
package struct LayeredContent: Hashable, Sendable {
    package var layers: [VersionedExtents]

    package init(layers: [VersionedExtents]) {
        self.layers = layers
    }

    package func slice(_ offset: UInt64, _ end: UInt64) -> VersionedExtents {
        var content = VersionedExtents()
        for layer in layers.reversed() { content.overlay(layer.slice(offset, end)) }
        return content
    }

    package var flattened: VersionedExtents {
        var content = VersionedExtents()
        for layer in layers.reversed() { content.overlay(layer) }
        return content
    }
}
