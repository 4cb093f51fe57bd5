package import BlockReplication

/// How much a guest has written to a disk up to some instant: what two copies of a disk are compared by.
package struct WriteMark: Hashable, Sendable {
    package var writes = 0
    package var bytes: UInt64 = 0
    package var last: WriteStamp?

    package init() {}
}

/// A dirty bitmap in a qcow2 file: the changes since it was begun, up to the next bitmap.
package struct Bitmap: Hashable, Sendable {
    /// Bytes that one bit stands for, as libvirt makes them.
    package static let granule: UInt64 = 65536

    package var name: String
    package var changed: Set<Int> = []
    /// Was in the file when QEMU opened it, so that a killed QEMU leaves it there, marked broken.
    package var isInFile = false
    package var isBroken = false
}

/// An image file at a host.
package struct SimulatedFile: Hashable, Sendable {
    package var size: UInt64
    /// "qcow2" or "raw".
    package var format: String
    /// Path of the file beneath it at the same host.
    package var backing: String?
    package var extents: VersionedExtents
    /// Oldest first; the newest one that is whole records.
    package var bitmaps: [Bitmap] = []
    package var mark = WriteMark()

    package init(size: UInt64, format: String, backing: String? = nil, extents: VersionedExtents = VersionedExtents()) {
        self.size = size
        self.format = format
        self.backing = backing
        self.extents = extents
    }

    package mutating func write(offset: UInt64, length: UInt64, stamp: WriteStamp) {
        let end = min(offset + length, size)
        guard offset < end else { return }
        extents.write(offset: offset, end: end, stamp: stamp)
        mark.writes += 1
        mark.bytes += end - offset
        mark.last = stamp
        guard let recording = bitmaps.indices.last, !bitmaps[recording].isBroken else { return }
        for granule in Int(offset / Bitmap.granule)...Int((end - 1) / Bitmap.granule) {
            bitmaps[recording].changed.insert(granule)
        }
    }

    /// What changed since a bitmap was begun; nil when it, or one of those after it, is missing or broken.
    package func changes(since name: String) -> Set<Int>? {
        guard let first = bitmaps.firstIndex(where: { $0.name == name }) else { return nil }
        guard bitmaps[first...].allSatisfy({ !$0.isBroken }) else { return nil }
        if first == bitmaps.count - 1 { return bitmaps[first].changed }
        return bitmaps[first...].reduce(into: []) { $0.formUnion($1.changed) }
    }

    /// Ends a bitmap: those before it stay exact.
    package mutating func removeBitmap(_ name: String) {
        guard let index = bitmaps.firstIndex(where: { $0.name == name }) else { return }
        let gone = bitmaps.remove(at: index)
        if index > 0, !bitmaps[index - 1].isBroken, !gone.isBroken {
            bitmaps[index - 1].changed.formUnion(gone.changed)
        }
    }

    /// QEMU closes the file in good order, or is killed with it open.
    package mutating func close(clean: Bool) {
        if clean {
            for index in bitmaps.indices { bitmaps[index].isInFile = true }
        } else {
            bitmaps.removeAll { !$0.isInFile }
            for index in bitmaps.indices { bitmaps[index].isBroken = true }
        }
    }

    /// Granules as ranges of the disk, neighbours joined.
    package static func ranges(_ granules: Set<Int>, size: UInt64) -> [ByteRange] {
        var ranges: [ByteRange] = []
        for granule in granules.sorted() {
            let offset = UInt64(granule) * Bitmap.granule
            guard offset < size else { break }
            let length = min(Bitmap.granule, size - offset)
            if let last = ranges.last, last.offset + last.length == offset {
                ranges[ranges.count - 1].length += length
            } else {
                ranges.append(ByteRange(offset: offset, length: length))
            }
        }
        return ranges
    }
}
