/// Points of a VM whose disks are other ones than before, or of another size.
///
/// - A disk that has grown: its overlay is larger than what is beneath, and holds all that lies beyond that.
/// - One that has shrunk: its overlay is smaller, and nothing beyond its end is read through it.
/// - One that was added: its overlay holds all of the disk, over an empty base of its own.
/// - One that was taken away: the new point does not have it. Older ones keep it, and its base goes with the last of them.
extension PointStore {
    /// What the next image of a disk stands on.
    struct Backing {
        var reference: BackingReference
        /// Bytes from the beginning that may fall through.
        var size: UInt64
        /// The base that was made for it; nil where there is one.
        var added: StoredDisk?
    }

    /// Finds what a disk's next image stands on, and makes it for a disk that was added; nil for a first copy.
    func backing(of plan: DiskPlan) throws -> Backing? {
        if let newest = manifest.newest {
            if let disk = newest.disks.first(where: { $0.target == plan.target }) {
                return Backing(
                    reference: BackingReference(file: disk.file, format: disk.format),
                    size: manifest.size(of: disk) ?? plan.size)
            }
        } else if let disk = manifest.disks.first(where: { $0.target == plan.target }) {
            return Backing(
                reference: BackingReference(file: disk.base.path, format: disk.base.format), size: disk.size)
        }
        if manifest.disks.isEmpty { return nil }
        if let base = manifest.disks.first(where: { $0.target == plan.target })?.base {
            // It was taken away and is there again: older points stand on that base, and nothing of it is read here.
            return Backing(reference: BackingReference(file: base.path, format: base.format), size: 0)
        }
        let name = StoreNames.base(plan.target)
        try directory.remove(name)
        try directory.remove(StoreNames.baseSums(plan.target))
        let file = try ImageFile(creating: directory.path(name))
        try file.truncate(to: plan.size)
        try file.sync()
        return Backing(
            reference: BackingReference(file: name, format: .raw), size: 0,
            added: StoredDisk(
                target: plan.target, size: plan.size, base: BaseImage(path: name, format: .raw, external: false)))
    }

    /// Refuses an image that would read as what lies beneath where its disk had nothing yet.
    func checkCovered(_ disk: PointDraft.Disk, _ extents: ExtentMap) throws {
        guard let beneath = disk.beneath, beneath < disk.size else { return }
        let needed = ExtentMap(CollectionOfOne(Extent(offset: beneath, length: disk.size - beneath)))
        guard needed.subtracting(extents).isEmpty else {
            throw ReplicationError(
                .invalidArgument,
                "disk \(disk.target) is new from byte \(beneath) on, and not all of that was sent",
                hint: "send the disk whole from there, zeros too: run the same version of perilune at both hosts",
                context: ["relationship": manifest.relationship])
        }
    }

    /// Removes all of the disks that no point, boot image or reader has any more, their bases too.
    func dropUnusedDisks(held: Set<String>) throws {
        guard !manifest.points.isEmpty, draft == nil else { return }
        let inUse =
            manifest.points.flatMap(\.disks).map(\.target) + manifest.boots.flatMap(\.disks).map(\.target)
            + allLayers.filter { held.contains($0.generation) }.flatMap(\.disks).map(\.target)
        let unused = Set(manifest.disks.map(\.target)).subtracting(inUse)
        // A layer is one of some disk: the last of it goes with the layer.
        let needed = manifest.layers.map { Set($0.disks.map(\.target)) }.filter { $0.isSubset(of: unused) }
        let gone = unused.subtracting(needed.flatMap(\.self))
        guard !gone.isEmpty else { return }
        let parts = manifest.layers.flatMap(\.disks).filter { gone.contains($0.target) }
        let bases = manifest.disks.filter { gone.contains($0.target) && !$0.base.external }
        try commit { next in
            next.disks.removeAll { gone.contains($0.target) }
            for index in next.layers.indices { next.layers[index].disks.removeAll { gone.contains($0.target) } }
        }
        try removeUnreferenced(
            parts.flatMap(\.files) + bases.flatMap { [$0.base.path, StoreNames.baseSums($0.target)] })
    }
}
