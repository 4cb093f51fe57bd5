internal import SiteModel

/// Tables of overlays that storage has changed: what merging and folding make of them.
///
/// An overlay's tables say which blocks it holds; its extent map, written with it and closed by a checksum, says the same. A
/// block whose bit was lost lets an older one show through, and once both are in one file nothing tells any more that there was
/// another: the older one fits its own checksum. So both are compared before either goes.
extension PointStore {
    /// An overlay that is to be merged or folded: what it was written with, and where its tables say another thing.
    struct OverlayTables {
        var map: ExtentMap
        var stray: [Extent]
    }

    /// Reads an overlay's tables and map, all of them, before anything is made of it.
    ///
    /// One that was folded already is empty, and rightly so. Errors: `.damaged` for tables that cannot be right.
    func tables(of disk: PointDisk, in layer: LayerRecord) throws -> OverlayTables {
        let map = try knownMap(of: disk)
        // As in a check: what an older version wrote has no checksums, and its map may be wider.
        guard disk.format == .qcow2, disk.sums != nil else { return OverlayTables(map: map, stray: []) }
        let overlay = try OverlayReader(opening: directory.path(disk.file))
        try requireSize(of: overlay, disk)
        let found = try overlay.extents()
        if found.isEmpty, manifest.folding == layer.generation { return OverlayTables(map: map, stray: []) }
        let stray = found.difference(from: map).map { Extent(offset: $0.offset, length: $0.length) }
        return OverlayTables(map: map, stray: stray)
    }

    /// The tables of the disks that are not merged yet, by target.
    func tablesForMerger(
        of older: LayerRecord, _ newer: LayerRecord
    ) throws -> [String: (below: OverlayTables, above: OverlayTables)] {
        var result: [String: (below: OverlayTables, above: OverlayTables)] = [:]
        for disk in newer.disks where disk.isWhole != true {
            guard let under = older.disks.first(where: { $0.target == disk.target }), try stands(disk, on: under)
            else { continue }
            result[disk.target] = (try tables(of: under, in: older), try tables(of: disk, in: newer))
        }
        return result
    }

    /// What an overlay brings into a merger: nothing once it was folded, for the base has all of it.
    func mapForMerger(of disk: PointDisk, in layer: LayerRecord) throws -> ExtentMap {
        if layer.isFolded == true { return ExtentMap() }
        if manifest.folding == layer.generation,
            try OverlayReader(opening: directory.path(disk.file)).extents().isEmpty
        {
            return ExtentMap()
        }
        return try knownMap(of: disk)
    }

    /// An overlay's extent map; where only that is damaged, what its tables say.
    func knownMap(of disk: PointDisk) throws -> ExtentMap {
        do { return try readMap(disk.map) } catch let error as ReplicationError where error.code == .damaged {
            guard disk.format == .qcow2 else { throw error }
            return try OverlayReader(opening: directory.path(disk.file)).extents()
        }
    }

    /// The size in the header is the disk's: with another one a VM would see another disk.
    func requireSize(of overlay: OverlayReader, _ disk: PointDisk) throws {
        guard disk.sums != nil, let size = manifest.size(of: disk), overlay.size != size else { return }
        throw ReplicationError(
            .damaged,
            "the image of disk \(disk.target) says that the disk has \(overlay.size) bytes, and it has \(size)",
            hint: "check the points of this VM, and copy it anew if its newest point is damaged",
            context: ["path": directory.path(disk.file)])
    }

    /// Gives blocks of the base checksums that they do not fit.
    ///
    /// What stands there is of another time, and would be found right by its own. Done again, it ends in the same.
    func spoilSums(of base: String, sums: String?, _ extents: [Extent], size: UInt64?) throws {
        guard let sums, let size, !extents.isEmpty else { return }
        let file = try ImageFile(reading: directory.path(base))
        let record = try BlockSums(updating: sums, size: size)
        for extent in extents { try record.spoil(extent) { try file.read(into: $0, at: $1) } }
        try record.sync()
    }

    /// The same for a merger: blocks of the older overlay that the newer one has lost are there as data of their own.
    func spoilSums(ofMerger path: String, sums: String, _ extents: [Extent]) throws {
        guard !extents.isEmpty else { return }
        let merger = try OverlayReader(opening: path)
        let record = try BlockSums(updating: sums, size: merger.size)
        for extent in try merger.extents().intersection(ExtentMap(extents)) where !extent.isZero {
            try record.spoil(Extent(offset: extent.offset, length: extent.length)) {
                try merger.read(into: $0, at: $1)
            }
        }
        try record.sync()
    }

    /// Whether an error tells that a layer's own files cannot be read, and not that something else went wrong meanwhile.
    static func isUnreadable(_ error: ReplicationError) -> Bool {
        [.damaged, .unsupported, .io, .notFound].contains(error.code)
    }

    /// Notes of the layers that an error speaks of that nothing of them can be relied on, so that what else is due goes on.
    ///
    /// Returns them; rethrows an error that speaks of none of these. A check that reads the layer tells more closely what of it
    /// is wrong.
    func noteUnreadable(_ error: ReplicationError, among generations: Set<String>) throws -> Set<String> {
        var damages = LayerDamages(manifest.damage)
        var found: Set<String> = []
        let path = error.context["path"] ?? ""
        for layer in allLayers where generations.contains(layer.generation) {
            for disk in layer.disks
            where [disk.file, disk.map, disk.sums].compactMap({ $0 }).map(directory.path).contains(path) {
                let cause: PointDamage.Cause = error.code == .io ? .unreadable : .altered
                let map = (try? knownMap(of: disk)) ?? .whole(manifest.size(of: disk) ?? 0)
                damages.add(layer.generation, disk.target, map, cause, at: clock())
                found.insert(layer.generation)
            }
        }
        guard !found.isEmpty else { throw error }
        let list = damages.list()
        if list != manifest.damage { try commit { $0.damage = list } }
        return found
    }
}
