internal import Foundation

extension PointStore {
    /// Layers that may lie beneath the oldest point before they are merged whatever that costs.
    static let maximumLayersBelow = 8

    /// Makes these generations points no more, then merges away the overlays that nothing needs apart.
    ///
    /// The newest point cannot be retired. Generations that are no points (any more) are passed over, so that the call can be
    /// repeated. Files beneath a boot overlay, or beneath a generation in `pinned`, stay as they are.
    package func retire(_ generations: Set<String>, pinned: Set<String> = []) throws {
        if let newest = manifest.newest, generations.contains(newest.generation) {
            throw ReplicationError(
                .invalidArgument, "the newest recovery point cannot be retired",
                hint: "it is the last good copy: retire it when a newer one is whole",
                context: ["generation": newest.generation])
        }
        let retired = manifest.points.filter { generations.contains($0.generation) }
        if !retired.isEmpty {
            try commit { next in
                next.points.removeAll { generations.contains($0.generation) }
                next.layers += retired.map(\.layer)
                next.layers.sort { $0.number < $1.number }
            }
            try removeUnreferenced(retired.map(\.domainXML))
        }
        while let (older, newer) = nextMerge(pinned) { try merge(older, into: newer) }
    }

    /// Retires all but the newest `count` points.
    package func keep(newest count: Int, pinned: Set<String> = []) throws {
        guard count >= 1 else {
            throw ReplicationError(
                .invalidArgument, "at least one recovery point is kept", hint: "give a count of 1 or more")
        }
        try retire(Set(manifest.points.dropLast(count).map(\.generation)), pinned: pinned)
    }

    /// Generations whose files somebody reads by name: those given, those beneath boot overlays, and all beneath these.
    func closure(_ pinned: Set<String>) -> Set<String> {
        let layers = Dictionary(uniqueKeysWithValues: allLayers.map { ($0.generation, $0) })
        var result: Set<String> = []
        for start in pinned.union(manifest.boots.map(\.generation)) {
            var at = layers[start]
            while let layer = at, result.insert(layer.generation).inserted {
                at = layer.over.flatMap { layers[$0] }
            }
        }
        return result
    }

    /// The next pair to merge: an overlay that is no point, with the only one that stands on it.
    ///
    /// Between points every such pair is due. Beneath the oldest point, a layer is merged when it is no more than twice as large
    /// as the one above, so that each block is rewritten a number of times that grows with the logarithm of the layers merged,
    /// not with their number; or when there are too many.
    private func nextMerge(_ pinned: Set<String>) -> (LayerRecord, LayerRecord)? {
        let held = closure(pinned)
        let all = allLayers
        let oldestPoint = manifest.points.first?.number ?? .max
        var below: [(LayerRecord, LayerRecord)] = []
        for older in manifest.layers where !held.contains(older.generation) {
            guard older.disks.allSatisfy({ $0.format == .qcow2 }) else { continue }
            let above = all.filter { $0.over == older.generation }
            guard above.count == 1, let newer = above.first else { continue }
            if older.number > oldestPoint { return (older, newer) }
            // The oldest point stays whole, apart from what lies beneath it.
            if newer.number < oldestPoint { below.append((older, newer)) }
        }
        func bytes(_ layer: LayerRecord) -> UInt64 { layer.disks.reduce(0) { $0 + $1.bytes } }
        if let due = below.last(where: { bytes($0.0) / 2 <= bytes($0.1) }) { return due }
        guard below.count >= Self.maximumLayersBelow else { return nil }
        return below.min { bytes($0.0) + bytes($0.1) < bytes($1.0) + bytes($1.1) }
    }

    /// Merges `older` into `newer`, which stands on it, and removes `older`.
    ///
    /// Disk by disk a new file takes the newer one's name: from then on the newer overlay stands on what was beneath the
    /// older one, and reads as before. Only when all disks are there does the manifest follow, and only then is the older one
    /// removed. Found half done, it is taken up where it stopped.
    private func merge(_ older: LayerRecord, into newer: LayerRecord) throws {
        var merged: [PointDisk] = []
        for disk in newer.disks {
            guard let under = older.disks.first(where: { $0.target == disk.target }) else { continue }
            var result = disk
            if try OverlayReader(opening: directory.path(disk.file)).backing.file == under.file {
                try writeMerger(of: under, into: disk)
            }
            result.bytes = try ImageFile(reading: directory.path(disk.file)).allocatedBytes()
            result.checksum = nil
            result.map = StoreNames.map(newer.generation, disk.target, serial: manifest.serial)
            let extents = try readMap(under.map).union(try readMap(disk.map))
            try directory.write(result.map, ExtentMapFile.encode(extents))
            try hook(.mapWritten)
            merged.append(result)
        }
        try directory.sync()
        try commit { next in
            next.serial += 1
            next.layers.removeAll { $0.generation == older.generation }
            if let index = next.layers.firstIndex(where: { $0.generation == newer.generation }) {
                next.layers[index].disks = merged
                next.layers[index].over = older.over
            }
            if let index = next.points.firstIndex(where: { $0.generation == newer.generation }) {
                next.points[index].disks = merged
                next.points[index].over = older.over
            }
        }
        try hook(.mergeRecorded)
        try removeUnreferenced(older.disks.flatMap { [$0.file, $0.map] } + newer.disks.map(\.map))
    }

    private func writeMerger(of under: PointDisk, into disk: PointDisk) throws {
        let part = disk.file + StoreNames.part
        try directory.remove(part)
        do {
            _ = try OverlayMerge.merge(
                older: directory.path(under.file), newer: directory.path(disk.file), to: directory.path(part))
        } catch {
            try? directory.remove(part)
            throw error
        }
        try hook(.mergeWritten)
        try directory.rename(part, to: disk.file)
        try directory.sync()
        try hook(.mergeRenamed)
    }

    func readMap(_ name: String) throws -> ExtentMap {
        try ExtentMapFile.decode(try directory.read(name, limit: 1 << 30), path: directory.path(name))
    }
}
