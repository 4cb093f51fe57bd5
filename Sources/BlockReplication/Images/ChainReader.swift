/// Reads a disk's state through its chain of images: overlays of recovery points here, all beneath them as it is.
///
/// All files of ours are opened at once, so that merging and folding, which write beside and rename, change nothing for a
/// reader. Memory: one L2 table of 128 KiB for each overlay. Confined to one thread.
final class ChainReader {
    /// An overlay, and the L2 table of it that was used last.
    private struct Layer {
        let overlay: OverlayReader
        let table = L2Buffer()
        var loaded = -1
    }

    /// Reads a range of what no overlay of ours holds.
    typealias Beneath = (UnsafeMutableRawBufferPointer, UInt64) throws -> Void

    /// Bytes of the newest image's disk.
    let size: UInt64
    private var layers: [Layer] = []
    private var beneath: Beneath = { bytes, _ in _ = bytes.initializeMemory(as: UInt8.self, repeating: 0) }

    /// Opens the chain from its newest image down; `openForeign` opens the first image that no writer of ours has made,
    /// with its size.
    init(_ newest: ImageLayer, openForeign: (ImageLayer) throws -> (size: UInt64, read: Beneath)) throws {
        var at: ImageLayer? = newest
        var size: UInt64?
        var seen: Set<String> = []
        while let image = at {
            guard seen.insert(image.path).inserted else {
                throw ReplicationError(
                    .damaged, "a chain of images comes back to itself", hint: "restore the image from a copy",
                    context: ["path": image.path])
            }
            // Only what is known to be qcow2 is read as qcow2: the first bytes of a raw disk are the guest's.
            guard image.format == .qcow2 else {
                let file = try ImageFile(reading: image.path)
                beneath = { try file.read(into: $0, at: $1) }
                self.size = try size ?? file.length()
                return
            }
            guard let overlay = try Self.ownOverlay(image.path) else {
                let (bytes, read) = try openForeign(image)
                beneath = Self.padded(read, size: bytes)
                self.size = size ?? bytes
                return
            }
            size = size ?? overlay.size
            layers.append(Layer(overlay: overlay))
            let backing = overlay.backing
            at = ImageLayer(path: PointStore.resolve(backing.file, beside: image.path), format: backing.format)
        }
        self.size = size ?? 0
    }

    /// The same, with zeros beyond the end.
    private static func padded(_ read: @escaping Beneath, size: UInt64) -> Beneath {
        { bytes, offset in
            let there = Int(min(UInt64(bytes.count), size - min(size, offset)))
            if there > 0 { try read(UnsafeMutableRawBufferPointer(rebasing: bytes[..<there]), offset) }
            _ = UnsafeMutableRawBufferPointer(rebasing: bytes[there...]).initializeMemory(as: UInt8.self, repeating: 0)
        }
    }

    /// Fills `bytes` with what stands at `offset`: a multiple of 4096.
    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        try read(layer: 0, bytes, offset)
    }

    private func read(layer index: Int, _ bytes: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws {
        guard index < layers.count else { return try beneath(bytes, offset) }
        var done: UInt64 = 0
        let length = UInt64(bytes.count)
        while done < length {
            let (run, kind) = try run(layer: index, offset + done, atMost: length - done)
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[Int(done)..<Int(done + run)])
            switch kind {
            case .data(let place): try layers[index].overlay.file.read(into: part, at: place)
            case .zeros: _ = part.initializeMemory(as: UInt8.self, repeating: 0)
            case .absent: try read(layer: index + 1, part, offset + done)
            }
            done += run
        }
    }

    private enum Kind {
        case data(place: UInt64)
        case zeros, absent
    }

    /// How far one kind of content goes from an offset, at most to the end of its cluster.
    private func run(layer index: Int, _ offset: UInt64, atMost limit: UInt64) throws -> (UInt64, Kind) {
        let overlay = layers[index].overlay
        // Beyond the end of a layer its disk had nothing, whatever an even older one had there.
        guard offset < overlay.size else { return (limit, .zeros) }
        let limit = min(limit, overlay.size - offset)
        let table = Int(offset / OverlayLayout.bytesPerL2)
        guard table < overlay.l1.count, overlay.l1[table] != 0 else {
            return (min(limit, OverlayLayout.bytesPerL2 - offset % OverlayLayout.bytesPerL2), .absent)
        }
        if layers[index].loaded != table {
            // Set only once it is loaded: a table that failed to load is not taken for good.
            layers[index].loaded = -1
            try overlay.load(table, into: layers[index].table)
            layers[index].loaded = table
        }
        let slot = Int(offset / OverlayLayout.clusterSize % OverlayLayout.entriesPerL2) * 2
        let words = layers[index].table.words
        let within = offset & (OverlayLayout.clusterSize - 1)
        let bit = within >> OverlayLayout.subclusterBits
        let data = (words[slot + 1] & 0xFFFF_FFFF) >> bit
        let zeros = words[slot + 1] >> (32 + bit)
        let (same, kind): (UInt64, Kind) =
            if data & 1 == 1 {
                (data, .data(place: words[slot] + within))
            } else if zeros & 1 == 1 {
                (zeros, .zeros)
            } else {
                (~(data | zeros), .absent)
            }
        let count = min(UInt64((~same).trailingZeroBitCount), OverlayLayout.subclustersPerCluster - bit)
        return (min(limit, count << OverlayLayout.subclusterBits), kind)
    }

    private static func ownOverlay(_ path: String) throws -> OverlayReader? {
        do { return try OverlayReader(opening: path) } catch let error as ReplicationError
            where error.code == .unsupported
        { return nil }
    }
}
