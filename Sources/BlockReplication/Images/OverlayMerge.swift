/// Merges two adjacent overlays into a new file that reads as the newer one does, and needs the older one no more.
package enum OverlayMerge {
    /// What a merger holds, and what of it was found not to be what had been written, by the overlay that held it.
    package struct Outcome {
        package var summary: PointImageSummary
        package var wrong: [Extent]
    }

    /// Writes the merger of `older` and of `newer`, which names `older` as its backing file, to `destination`.
    ///
    /// The result is flushed and names the older overlay's backing file. Renamed over the newer file, it changes nothing for
    /// any file above it. The extents are the union of both, and the size is the newer one's: what the older one holds beyond
    /// is dropped, and what the newer one has more it holds itself. With checksums, each block is checked before it is written.
    /// `step` is called after each piece; what it throws ends the merging.
    package static func merge(
        older olderPath: String, newer newerPath: String, to destination: String, sums: MergeSums? = nil,
        isolation: isolated (any Actor)? = #isolation, step: () async throws -> Void = {}
    ) async throws -> Outcome {
        let older = try OverlayReader(opening: olderPath)
        let newer = try OverlayReader(opening: newerPath)
        let writer = try OverlayWriter(
            creating: destination, size: newer.size, backing: older.backing, sums: sums?.destination)
        let (below, above) = (L2Buffer(), L2Buffer())
        var pending = PendingCopy(
            writer: writer, older: CheckedCopy(source: older.file, sums: try sums?.older(older.size)),
            newer: CheckedCopy(source: newer.file, sums: try sums?.newer(newer.size)),
            cut: CheckedCopy(source: older.file, sums: nil), isCut: newer.size < older.size)
        func pause() async throws {
            pending.inPiece = 0
            try await step()
        }
        for index in newer.l1.indices {
            let reaches = index < older.l1.count && older.l1[index] != 0
            guard newer.l1[index] != 0 || reaches else { continue }
            if pending.inPiece > 0 { try await pause() }
            if reaches { try older.load(index, into: below) } else { below.clear() }
            try newer.load(index, into: above)
            for slot in stride(from: 0, to: above.words.count, by: 2) {
                let start = UInt64(index) * OverlayLayout.bytesPerL2 + UInt64(slot / 2) * OverlayLayout.clusterSize
                let (upper, lower) = (above.words[slot + 1], below.words[slot + 1])
                if upper | lower == 0 { continue }
                let covered = (upper | upper >> 32) & 0xFFFF_FFFF
                try pending.copy(newer.file, place: above.words[slot], bits: upper & 0xFFFF_FFFF, start: start)
                try pending.copy(
                    older.file, place: below.words[slot], bits: lower & 0xFFFF_FFFF & ~covered, start: start)
                let zeros = upper >> 32 | (lower >> 32 & ~covered)
                try SubclusterRuns.forEach(in: zeros) { first, count in
                    let from = start + first << OverlayLayout.subclusterBits
                    let to = min(from + count << OverlayLayout.subclusterBits, writer.size)
                    if from < to { try writer.zero(offset: from, length: to - from) }
                }
                if pending.inPiece >= OverlayLayout.piece { try await pause() }
            }
        }
        try pending.flush()
        return Outcome(summary: try writer.finish(), wrong: pending.older.wrong + pending.newer.wrong)
    }
}

/// Files of checksums that go with a merger: of both overlays, where they have one, and of the result.
package struct MergeSums: Sendable {
    package var olderPath: String?
    package var newerPath: String?
    package var destination: String

    package init(older: String?, newer: String?, destination: String) {
        (olderPath, newerPath, self.destination) = (older, newer, destination)
    }

    func older(_ size: UInt64) throws -> BlockSums? { try olderPath.map { try BlockSums(reading: $0, size: size) } }
    func newer(_ size: UInt64) throws -> BlockSums? { try newerPath.map { try BlockSums(reading: $0, size: size) } }
}

/// Joins copies that are neighbours on the disk and in their file, so that a run of clusters is one call.
private struct PendingCopy {
    let writer: OverlayWriter
    var older: CheckedCopy
    var newer: CheckedCopy
    /// The older overlay without checksums: those of a block that the newer one's end cuts are of all of it.
    var cut: CheckedCopy
    let isCut: Bool
    private var source: ImageFile?
    private var place: UInt64 = 0
    private var offset: UInt64 = 0
    private var length: UInt64 = 0
    /// Bytes since the last piece ended.
    var inPiece: UInt64 = 0

    init(writer: OverlayWriter, older: CheckedCopy, newer: CheckedCopy, cut: CheckedCopy, isCut: Bool) {
        self.writer = writer
        self.older = older
        self.newer = newer
        (self.cut, self.isCut) = (cut, isCut)
    }

    mutating func copy(_ file: ImageFile, place cluster: UInt64, bits: UInt64, start: UInt64) throws {
        try SubclusterRuns.forEach(in: bits) { first, count in
            let within = first << OverlayLayout.subclusterBits
            let bytes = count << OverlayLayout.subclusterBits
            inPiece += bytes
            if source === file, offset + length == start + within, place + length == cluster + within {
                length += bytes
            } else {
                try flush()
                (source, place, offset, length) = (file, cluster + within, start + within, bytes)
            }
        }
    }

    mutating func flush() throws {
        guard let file = source, offset < writer.size else { return }
        source = nil
        let sink: CheckedCopy.Sink = { [writer] bytes, sums, offset in
            try writer.write(bytes, at: offset)
            if let sums { try writer.sums?.put(sums, at: offset) }
        }
        let bytes = min(length, writer.size - offset)
        if file === newer.source {
            try newer.copy(place: place, offset: offset, length: bytes, to: sink)
        } else {
            let rest = isCut ? bytes % BlockGrid.block : 0
            if bytes > rest { try older.copy(place: place, offset: offset, length: bytes - rest, to: sink) }
            if rest > 0 {
                try cut.copy(place: place + bytes - rest, offset: offset + bytes - rest, length: rest, to: sink)
            }
        }
    }
}
