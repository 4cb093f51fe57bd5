import SiteModel

/// A divergence with all its extents, and where they can be read.
struct FoundDivergence: Sendable {
    struct Disk: Sendable {
        var target: String
        var size: UInt64
        var image: DiskImage
        var extents: ExtentMap
    }

    /// Ranges of a disk that are listed.
    private static let listed = 1000

    var at: Timestamp
    var isExact: Bool
    var disks: [Disk]

    var answer: Divergence {
        Divergence(
            at: at, isExact: isExact,
            disks: disks.map { disk in
                DivergedDisk(
                    target: disk.target, image: disk.image, bytes: disk.extents.byteCount,
                    ranges: disk.extents.prefix(Self.listed).map { ByteRange(offset: $0.offset, length: $0.length) },
                    count: disk.extents.count)
            })
    }
}

/// What the former owner's disks hold that the VM went on without.
///
/// The blocks lie in the adopted disks, which nothing writes until a failover to this side has been committed and the chain is
/// folded; all that is kept here is which ones they are.
extension PointStore {
    /// Records which blocks diverged; nil when neither side can tell.
    ///
    /// Repeated for an epoch, it changes nothing.
    func noteDivergence(epoch: Int, at time: Timestamp, ranges: [String: [ByteRange]]?) throws {
        guard manifest.divergence?.epoch != epoch, manifest.disks.contains(where: \.base.external) else { return }
        var disks: [StoredDivergence.Disk] = []
        for disk in manifest.disks {
            guard let ranges else {
                disks.append(StoredDivergence.Disk(target: disk.target))
                continue
            }
            let extents = try ExtentMap(checked: ranges[disk.target] ?? [])
                .aligned(to: BlockGrid.block, size: disk.size)
            let name = StoreNames.divergence(epoch: epoch, disk.target)
            try directory.write(name, ExtentMapFile.encode(extents))
            disks.append(StoredDivergence.Disk(target: disk.target, map: name))
        }
        try directory.sync()
        let before = manifest.divergence?.disks.compactMap(\.map) ?? []
        try commit {
            $0.divergence = StoredDivergence(epoch: epoch, at: time, disks: disks, isExact: ranges != nil)
        }
        try removeUnreferenced(before)
    }

    /// What diverged; nil when there is nothing, or it has been given up.
    func divergence() throws -> FoundDivergence? {
        guard let known = manifest.divergence else { return nil }
        var disks: [FoundDivergence.Disk] = []
        for disk in manifest.disks where disk.base.external {
            let extents =
                try known.disks.first { $0.target == disk.target }?.map.map { try readMap($0) }
                ?? replacedExtents(disk.target)
            guard !extents.isEmpty else { continue }
            disks.append(
                FoundDivergence.Disk(
                    target: disk.target, size: disk.size,
                    image: DiskImage(path: disk.base.path, format: disk.base.format.rawValue), extents: extents))
        }
        return disks.isEmpty ? nil : FoundDivergence(at: known.at, isExact: known.isExact, disks: disks)
    }

    /// What the oldest layer on the adopted disk holds in place of it: where nobody knows what diverged, it is among that.
    private func replacedExtents(_ target: String) throws -> ExtentMap {
        guard let first = allLayers.first(where: { $0.over == nil }),
            let disk = first.disks.first(where: { $0.target == target })
        else { return ExtentMap() }
        let map = try readMap(disk.map)
        return ExtentMap(map.map { Extent(offset: $0.offset, length: $0.length) })
    }

    /// Forgets which blocks diverged.
    func discardDivergence() throws {
        guard let known = manifest.divergence else { return }
        try commit { $0.divergence = nil }
        try removeUnreferenced(known.disks.compactMap(\.map))
    }
}
