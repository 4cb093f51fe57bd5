/// Merges two adjacent overlays into a new file that reads as the newer one does, and needs the older one no more.
package enum OverlayMerge {
    /// Writes the merger of `older` and of `newer`, which names `older` as its backing file, to `destination`.
    ///
    /// The result is flushed and names the older overlay's backing file. Renamed over the newer file, it changes nothing for
    /// any file above it. Returns the union of the extents of both. The result has the newer one's size: what the older one
    /// holds beyond is dropped, and what the newer one has more it holds itself.
    /// `step` is called after each piece; what it throws ends the merging.
    package static func merge(
        older olderPath: String, newer newerPath: String, to destination: String,
        isolation: isolated (any Actor)? = #isolation, step: () async throws -> Void = {}
    ) async throws -> PointImageSummary {
        let older = try OverlayReader(opening: olderPath)
        let newer = try OverlayReader(opening: newerPath)
        let writer = try OverlayWriter(creating: destination, size: newer.size, backing: older.backing)
        let (below, above) = (L2Buffer(), L2Buffer())
        var pending = PendingCopy(writer: writer)
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
        return try writer.finish()
    }
}

/// Joins copies that are neighbours on the disk and in their file, so that a run of clusters is one call.
private struct PendingCopy {
    let writer: OverlayWriter
    private var source: ImageFile?
    private var place: UInt64 = 0
    private var offset: UInt64 = 0
    private var length: UInt64 = 0
    /// Bytes since the last piece ended.
    var inPiece: UInt64 = 0

    init(writer: OverlayWriter) { self.writer = writer }

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
        try writer.copy(from: file, at: place, offset: offset, length: min(length, writer.size - offset))
    }
}
