/// A disk of the VM that this site wrote itself, given to be the base of replication towards it.
package struct ExternalDisk: Hashable, Sendable {
    package var target: String
    /// Absolute path.
    package var path: String
    package var format: ImageFormat
    /// Bytes, as the VM sees it.
    package var size: UInt64

    package init(target: String, path: String, format: ImageFormat, size: UInt64) {
        self.target = target
        self.path = path
        self.format = format
        self.size = size
    }
}

extension PointStore {
    /// Takes the site's own disks of the VM as the bases on which points of the reversed direction will stand.
    ///
    /// The disks are only read from now on: what diverged in them stays beneath the points. `epoch` is the one at which the
    /// direction was reversed; a second call with the same disks and epoch changes nothing. `generation` is what the disks are
    /// known to hold, if anything. Points of an earlier lineage are points no more; their files stay until a new point is whole,
    /// and for good where the disks themselves stand on them.
    package func adoptExternalBase(_ disks: [ExternalDisk], epoch: Int, generation: String? = nil) throws {
        guard epoch >= manifest.epoch else { throw staleEpoch(epoch) }
        try checkNoDraft()
        if let generation { try StoreNames.checkGeneration(generation) }
        let stored = try checked(disks)
        if manifest.baseEpoch == epoch && manifest.disks == stored { return }
        let earlier = manifestFiles
        try commit { next in
            next.disks = stored
            next.growing = nil
            next.baseEpoch = epoch
            next.baseGeneration = generation
            next.divergence = nil
            next.points = []
            next.layers = []
            next.boots = []
            next.releasedAt = nil
            next.superseded = Array(earlier.subtracting([StoreNames.manifest])).sorted()
        }
    }

    /// Ends the lineage that the site's VM has grown out of: its disks now hold everything and stand on what they name.
    ///
    /// Points, maps and boot overlays are no more, and files that the disks do not stand on are removed. Call it once a copy of
    /// the VM is whole at the peer. Repeating it changes nothing.
    package func settle(_ disks: [ExternalDisk]) throws {
        try checkNoDraft()
        let stored = try checked(disks)
        let earlier = manifestFiles
        try commit { next in
            next.disks = stored
            next.growing = nil
            next.baseEpoch = next.epoch
            next.baseGeneration = nil
            next.divergence = nil
            next.points = []
            next.layers = []
            next.boots = []
            next.retainedMaps = []
            next.superseded = []
        }
        try removeUnreferenced(Array(earlier.subtracting([StoreNames.manifest])))
    }

    private func checked(_ disks: [ExternalDisk]) throws -> [StoredDisk] {
        guard !disks.isEmpty, Set(disks.map(\.target)).count == disks.count else {
            throw ReplicationError(
                .invalidArgument, "a VM has at least one disk and each disk once", hint: "correct the list of disks")
        }
        return try disks.map { disk in
            try StoreNames.checkTarget(disk.target)
            try StoreNames.checkAbsolutePath(disk.path)
            try BlockGrid.checkDisk(size: disk.size)
            return StoredDisk(
                target: disk.target, size: try sizeOfFile(disk),
                base: BaseImage(path: StoreDirectory.canonical(disk.path), format: disk.format, external: true))
        }
    }

    /// What the file says of its own size: the VM's disk may have been resized at the peer since.
    private func sizeOfFile(_ disk: ExternalDisk) throws -> UInt64 {
        let file = try ImageFile(reading: disk.path)
        let size = disk.format == .raw ? try file.length() : try Qcow2Header(reading: file).size
        try BlockGrid.checkDisk(size: size)
        return size
    }

    /// The extents changed by all points after a generation, by disk target; points whose data was dropped count too.
    ///
    /// These are blocks that a peer which holds those points must get again when replication goes the other way.
    package func maps(newerThan generation: String) throws -> [String: ExtentMap] {
        let numbers =
            allLayers.map { ($0.generation, $0.number) } + manifest.retainedMaps.map { ($0.generation, $0.number) }
        let known = numbers.first { $0.0 == generation }?.1
        guard let number = known ?? (generation == manifest.baseGeneration ? 0 : nil) else {
            throw ReplicationError(
                .notFound, "nothing is known of generation \(generation)",
                hint: "compare the disks by hash: what changed since then cannot be told from maps",
                context: ["relationship": manifest.relationship])
        }
        var names: [(number: Int, target: String, map: String)] = []
        for layer in allLayers where layer.number > number {
            names += layer.disks.map { (layer.number, $0.target, $0.map) }
        }
        for retained in manifest.retainedMaps where retained.number > number {
            names += retained.maps.map { (retained.number, $0.key, $0.value) }
        }
        var result = Dictionary(uniqueKeysWithValues: manifest.disks.map { ($0.target, ExtentMap()) })
        for entry in names.sorted(by: { $0.number < $1.number }) {
            result[entry.target, default: ExtentMap()] = (result[entry.target] ?? ExtentMap()).union(
                try readMap(entry.map))
        }
        return result
    }

    /// Keeps one point alone, as a commit of a failover does: the chosen one, with all that it stands on.
    ///
    /// The data of newer points goes, their maps stay until `clearMaps()`. What a boot overlay or a generation in `pinned`
    /// stands on stays as a layer.
    package func dropAllBut(_ generation: String, pinned: Set<String> = []) throws {
        try checkNoDraft()
        let chosen = try requirePoint(generation)
        let held = closure(pinned.union([generation]))
        let dropped = allLayers.filter { !held.contains($0.generation) }
        let retained = dropped.filter { $0.number > chosen.number }.map { layer in
            RetainedMap(
                generation: layer.generation, number: layer.number,
                maps: Dictionary(uniqueKeysWithValues: layer.disks.map { ($0.target, $0.map) }))
        }
        guard manifest.points != [chosen] || !dropped.isEmpty || manifest.divergence != nil else { return }
        let before = manifestFiles
        try commit { next in
            next.layers += next.points.filter { $0.generation != generation }.map(\.layer)
            next.layers.removeAll { !held.contains($0.generation) }
            next.layers.sort { $0.number < $1.number }
            next.points = [chosen]
            // The VM runs here by now, and for good: what its disks held before it went on from them has had its time.
            next.divergence = nil
            next.retainedMaps = (next.retainedMaps + retained).sorted { $0.number < $1.number }
        }
        try removeUnreferenced(Array(before))
    }

    /// Gives up the maps of dropped points: the peer holds a whole point of the reversed direction, so nobody needs them.
    package func clearMaps() throws {
        guard !manifest.retainedMaps.isEmpty else { return }
        let names = manifest.retainedMaps.flatMap { $0.maps.values }
        try commit { $0.retainedMaps = [] }
        try removeUnreferenced(names)
    }
}
