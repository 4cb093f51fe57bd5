internal import SiteModel

extension PointStore {
    /// Merges `older` into `newer`, which stands on it, and removes `older` if nobody else needs it.
    ///
    /// Disk by disk a new file takes the newer one's name: from then on the newer overlay stands on what was beneath the
    /// older one, and reads as before. Only when all disks are there does the manifest follow, and only then is the older one
    /// removed. Found half done, it is taken up where it stopped.
    func merge(
        _ older: LayerRecord, into newer: LayerRecord, removing: Bool, unless isAwaited: IsAwaited
    ) async throws {
        begunFold = nil
        var merged: [PointDisk] = []
        var hasWritten = false
        var moves: [(inout LayerDamages) -> Void] = []
        var maps: [String] = []
        // All of them before any is merged: one that cannot be read leaves the others as they are, too.
        let tables = try tablesForMerger(of: older, newer)
        do {
            for disk in newer.disks {
                // Of a disk that was added after the older one, or anew, nothing of the older one is read.
                guard disk.isWhole != true, let under = older.disks.first(where: { $0.target == disk.target }) else {
                    merged.append(disk)
                    continue
                }
                var result = disk
                result.isWhole = under.isWhole
                let own = try knownMap(of: disk)
                func move(_ found: [Extent]) -> (inout LayerDamages) -> Void {
                    let at = clock()
                    return {
                        $0.merge(
                            older.generation, into: newer.generation, target: disk.target, over: own, found: found,
                            at: at)
                    }
                }
                if let tables = tables[disk.target] {
                    // Small disks have no pieces to make way between.
                    if hasWritten { try await makeWay(unless: isAwaited) }
                    hasWritten = true
                    try await writeMerger(of: under, into: disk, of: (older, newer), tables, unless: isAwaited) {
                        wrong in
                        // Before the merger has its name: the next disk may make way, and this one is then not read again.
                        try record(move(wrong))
                    }
                }
                // The merger may have been made before a stop; its checksums were renamed before it was.
                result.sums = sumsOfMerger(disk, of: older, in: newer)
                // What was found in the older one since then is in the merger too, as far as is known.
                moves.append(move([]))
                result.bytes = try ImageFile(reading: directory.path(disk.file)).allocatedBytes()
                result.checksum = nil
                result.map = StoreNames.map(newer.generation, disk.target, serial: manifest.serial)
                let size = manifest.size(of: disk) ?? .max
                let extents = try mapForMerger(of: under, in: older).clipped(to: size).union(own)
                maps.append(result.map)
                try directory.write(result.map, ExtentMapFile.encode(extents))
                try hook(.mapWritten)
                merged.append(result)
            }
        } catch  where error is ReplicationError || error is MadeWay {
            // They are of this attempt alone.
            for map in maps { try? directory.remove(map) }
            throw error
        }
        try directory.sync()
        try commit { next in
            next.serial += 1
            var damage = LayerDamages(next.damage)
            for move in moves { move(&damage) }
            next.damage = damage.list(of: removing ? older.generation : nil)
            if removing { next.layers.removeAll { $0.generation == older.generation } }
            next.change(newer.generation) { layer in
                layer.disks = merged
                layer.over = older.over
                layer.isFolded = nil
            }
        }
        rewrittenBytes += merged.reduce(0) { $0 + $1.bytes }
        try hook(.mergeRecorded)
        try removeUnreferenced(older.disks.flatMap(\.files) + newer.disks.flatMap(\.files))
    }

    /// Removes a layer that nothing stands on.
    func drop(_ generation: String) throws {
        guard let layer = manifest.layers.first(where: { $0.generation == generation }) else { return }
        try commit {
            $0.layers.removeAll { $0.generation == generation }
            $0.damage = LayerDamages($0.damage).list(of: generation)
        }
        try removeUnreferenced(layer.disks.flatMap(\.files))
    }

    /// Writes what a layer holds into the raw base beneath it, and puts an empty overlay in its place.
    ///
    /// Between the layer and the base lies nothing, or layers that were folded. Until the empty overlay has taken the layer's
    /// name, the base is read only beneath the layer, which covers all that is written here; found half done, it is simply done
    /// again.
    ///
    /// One that has made way for another call is gone on with where it stopped, as long as the store stays open.
    func fold(_ generation: String, unless isAwaited: IsAwaited) async throws {
        let layers = Dictionary(uniqueKeysWithValues: allLayers.map { ($0.generation, $0) })
        guard let layer = layers[generation], var base = layer.over.flatMap({ layers[$0] }) else { return }
        while let lower = base.over.flatMap({ layers[$0] }) { base = lower }
        var folded: [PointDisk] = []
        var added: [PointDisk] = []
        var moves: [(inout LayerDamages) -> Void] = []
        // One that was taken up before may be empty already.
        let isTakenUp = manifest.folding == generation
        let tables = try layer.disks.map { try self.tables(of: $0, in: layer) }
        // Who checks the files meanwhile, or after a stop, must know that.
        if !isTakenUp { try commit { $0.folding = generation } }
        for (disk, tables) in zip(layer.disks, tables) {
            let under = try rawBase(of: disk.target, generation)
            let sums = try sumsOfBase(of: disk, base)
            // An empty overlay is one that was folded before.
            let first = begunFold?.file == disk.file ? begunFold?.table ?? 0 : 0
            // What is found wrong before it makes way is not recorded here: its checksums go along, so that it is found again.
            let done = try await BaseFold.fold(
                directory.path(disk.file), into: directory.path(under), from: first,
                sums: (existing(disk.sums), existing(sums))
            ) { next in
                try hook(.foldPart)
                begunFold = BegunFold(file: disk.file, table: next)
                try await makeWay(unless: isAwaited)
            }
            rewrittenBytes += done.bytes
            let (lower, at, extents) = (base.generation, clock(), tables.map)
            try spoilSums(of: under, sums: existing(sums), tables.stray, size: manifest.size(of: disk))
            // Before the layer is empty: from then on nothing tells that more was there.
            try record { $0.add(generation, disk.target, done.wrong + tables.stray, .altered, at: at) }
            moves.append {
                $0.fold(generation, into: lower, target: disk.target, extents: extents, found: [], at: at)
            }
            begunFold = nil
            if !base.disks.contains(where: { $0.target == disk.target }) {
                // From now on the base of a disk that was added holds something, so that it is one of the base's own.
                let bytes = try ImageFile(reading: directory.path(under)).allocatedBytes()
                added.append(
                    PointDisk(
                        target: disk.target, file: under, format: .raw, bytes: bytes, map: disk.map,
                        sums: existing(sums).map { _ in sums } ?? nil))
            }
            try hook(.foldWritten)
            try await replaceByEmpty(disk, on: BackingReference(file: under, format: .raw))
            var result = disk
            result.bytes = try ImageFile(reading: directory.path(disk.file)).allocatedBytes()
            (result.checksum, result.sums, result.isWhole) = (nil, nil, nil)
            folded.append(result)
        }
        var sizes: [String: UInt64] = [:]
        for disk in base.disks + folded {
            sizes[disk.target] = max(sizes[disk.target] ?? 0, manifest.size(of: disk) ?? 0)
        }
        let (lengths, newcomers) = (sizes, added)
        try commit { next in
            next.folding = nil
            var damage = LayerDamages(next.damage)
            for move in moves { move(&damage) }
            next.damage = damage.list()
            next.change(generation) { layer in
                layer.disks = folded
                layer.over = base.generation
                layer.isFolded = true
            }
            next.change(base.generation) { base in
                // It holds later generations now, so no transfer's checksum is its own.
                base.disks += newcomers
                for index in base.disks.indices {
                    base.disks[index].checksum = nil
                    base.disks[index].size = lengths[base.disks[index].target]
                }
            }
        }
        try hook(.foldRecorded)
        try removeUnreferenced(layer.disks.compactMap(\.sums))
    }

    /// The path of a file of checksums that is there.
    private func existing(_ sums: String?) -> String? {
        sums.flatMap { directory.exists($0) ? directory.path($0) : nil }
    }

    /// A merge that a stop has left undone for some of the disks: what stood on what is told by the files themselves.
    func unfinishedMerge(_ held: Set<String>) throws -> (LayerRecord, LayerRecord)? {
        let layers = Dictionary(uniqueKeysWithValues: allLayers.map { ($0.generation, $0) })
        for newer in allLayers where !held.contains(newer.generation) {
            guard let older = newer.over.flatMap({ layers[$0] }), older.disks.allSatisfy({ $0.format == .qcow2 })
            else { continue }
            for disk in newer.disks {
                guard disk.isWhole != true, let under = older.disks.first(where: { $0.target == disk.target }) else {
                    continue
                }
                // One whose header is damaged tells nothing: what is to be read through it says so.
                if (try? stands(disk, on: under)) == false { return (older, newer) }
            }
        }
        return nil
    }

    /// Names of the checksums of images that a merge has put in place, and not recorded before it was stopped.
    var unrecordedSums: [String] {
        let layers = Dictionary(uniqueKeysWithValues: allLayers.map { ($0.generation, $0) })
        return allLayers.flatMap { newer in
            newer.disks.compactMap { disk in
                let below = newer.over.flatMap { layers[$0] }
                let under = below?.disks.first { $0.target == disk.target }
                guard disk.format == .qcow2, disk.isWhole != true, let under, (try? stands(disk, on: under)) == false
                else { return nil }
                return below.flatMap { sumsOfMerger(disk, of: $0, in: newer) }
            }
        }
    }

    /// The file with the checksums of a merger that has its name, and is not recorded yet; nil when there is none.
    private func sumsOfMerger(_ disk: PointDisk, of older: LayerRecord, in newer: LayerRecord) -> String? {
        // A version before this one named it by the serial.
        [
            StoreNames.sums(newer.generation, disk.target, with: older.generation),
            StoreNames.sums(newer.generation, disk.target, serial: manifest.serial),
        ].first { directory.exists($0) }
    }

    /// Makes a change of what is known to be wrong durable, if it is one.
    private func record(_ change: (inout LayerDamages) -> Void) throws {
        var damage = LayerDamages(manifest.damage)
        change(&damage)
        let list = damage.list()
        if list != manifest.damage { try commit { $0.damage = list } }
    }

    /// The name of the file with the checksums of a raw base; made for the base of a disk that was added, which holds nothing yet.
    private func sumsOfBase(of disk: PointDisk, _ base: LayerRecord) throws -> String? {
        if let part = base.disks.first(where: { $0.target == disk.target }) { return part.sums }
        let name = StoreNames.baseSums(disk.target)
        // One that is there is of a fold that was cut short: the base holds what it speaks of already.
        guard !directory.exists(name) else { return name }
        _ = try BlockSums(creating: directory.path(name), size: manifest.size(of: disk) ?? 0)
        return name
    }

    /// The name of the raw base beneath all overlays of a disk here.
    private func rawBase(of target: String, _ generation: String) throws -> String {
        guard let base = manifest.disks.first(where: { $0.target == target })?.base, base.format == .raw, !base.external
        else {
            throw ReplicationError(
                .damaged, "disk \(target) has no raw base beneath generation \(generation)",
                hint: "stop the replication of this VM and start it again with a first copy",
                context: ["relationship": manifest.relationship])
        }
        return base.path
    }

    func readMap(_ name: String) throws -> ExtentMap {
        try ExtentMapFile.decode(try directory.read(name, limit: 1 << 30), path: directory.path(name))
    }

    /// Whether a disk's image still stands on the older one; false once a merger of both has its name.
    ///
    /// `.damaged` when it names neither: nothing can then be said of what it holds, and the older one must stay.
    func stands(_ disk: PointDisk, on under: PointDisk) throws -> Bool {
        let name = try Qcow2Header(reading: ImageFile(reading: directory.path(disk.file))).backing?.file
        if name == under.file || under.format == .raw { return name == under.file }
        guard isMerger(name, on: under) else {
            throw ReplicationError(
                .damaged, "the image of disk \(disk.target) names a backing file that was never beneath it",
                hint: "check the points of this VM, and copy it anew if its newest point is damaged",
                context: ["path": directory.path(disk.file)])
        }
        return false
    }

    /// Whether an image that names this file beneath it is a merger with the older one: that stood on the same.
    func isMerger(_ name: String?, on older: PointDisk?) -> Bool {
        guard let name, let older, older.format == .qcow2,
            let image = try? ImageFile(reading: directory.path(older.file))
        else { return false }
        return (try? Qcow2Header(reading: image).backing?.file) == name
    }

    /// Tells `note`, before it counts, what was found not to be what had been written.
    private func writeMerger(
        of under: PointDisk, into disk: PointDisk, of layers: (older: LayerRecord, newer: LayerRecord),
        _ tables: (below: OverlayTables, above: OverlayTables), unless isAwaited: IsAwaited,
        note: (_ wrong: [Extent]) throws -> Void
    ) async throws {
        let (below, above) = tables
        let sums = StoreNames.sums(layers.newer.generation, disk.target, with: layers.older.generation)
        try directory.remove(sums)
        try directory.remove(sums + StoreNames.part)
        try await replace(disk, leaving: sums + StoreNames.part) { part in
            let wrong = try await OverlayMerge.merge(
                older: directory.path(under.file), newer: directory.path(disk.file), to: part,
                sums: MergeSums(
                    older: existing(under.sums), newer: existing(disk.sums),
                    destination: directory.path(sums + StoreNames.part))
            ) {
                try await makeWay(unless: isAwaited)
            }.wrong
            // What only the older one has lost stays a hole that the merger's map does not have.
            try spoilSums(ofMerger: part, sums: directory.path(sums + StoreNames.part), above.stray)
            try note(wrong + Array(ExtentMap(below.stray).subtracting(above.map)) + above.stray)
            // Before the image: once that has its name, these are its checksums.
            try directory.rename(sums + StoreNames.part, to: sums)
            try hook(.mergeWritten)
        }
        try hook(.mergeRenamed)
    }

    private func replaceByEmpty(_ disk: PointDisk, on backing: BackingReference) async throws {
        guard let size = manifest.size(of: disk) else { return }
        try await replace(disk) { part in
            _ = try OverlayWriter(creating: part, size: size, backing: backing).finish()
        }
        try hook(.foldRenamed)
    }

    /// Puts the file that `write` makes in the place of a disk's; `other` goes with it where that fails.
    private func replace(
        _ disk: PointDisk, leaving other: String? = nil, _ write: (_ part: String) async throws -> Void
    ) async throws {
        let part = disk.file + StoreNames.part
        try directory.remove(part)
        do { try await write(directory.path(part)) } catch  where error is ReplicationError || error is MadeWay {
            for name in [part, other].compactMap({ $0 }) { try? directory.remove(name) }
            throw error
        }
        try directory.rename(part, to: disk.file)
        try directory.sync()
    }
}

extension Manifest {
    /// Changes what is recorded of a generation's data, be it a point or a layer.
    fileprivate mutating func change(_ generation: String, _ body: (inout LayerRecord) -> Void) {
        if let index = layers.firstIndex(where: { $0.generation == generation }) { body(&layers[index]) }
        if let index = points.firstIndex(where: { $0.generation == generation }) {
            var layer = points[index].layer
            body(&layer)
            points[index].disks = layer.disks
            points[index].over = layer.over
        }
    }
}
