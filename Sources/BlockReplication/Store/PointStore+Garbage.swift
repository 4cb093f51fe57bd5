extension PointStore {
    /// Endings of the files that a store makes; others in the directory are none of its business.
    private static let endings = [
        StoreNames.part, StoreNames.table, ".qcow2", ".raw", ".map", ".sums", ".xml", ".mixed", ".firmware",
    ]

    /// Removes the files that no point, map or image needs, and returns their names.
    ///
    /// Kept are the files that the manifest names, all that its images and adopted disks stand on, those of the open draft, and
    /// `pinned` (file names). When an image's chain cannot be followed, nothing is removed and the reason is thrown.
    package func collectGarbage(pinned: Set<String> = []) throws -> [String] {
        try checkOpen()
        let kept = try keptFiles().union(pinned)
        let rubbish = try directory.files().filter { name in
            !kept.contains(name) && Self.endings.contains { name.hasSuffix($0) }
        }
        for name in rubbish {
            try directory.remove(name)
            try hook(.fileRemoved)
        }
        if !rubbish.isEmpty { try directory.sync() }
        return rubbish
    }

    /// Ends the relationship at this site: removes every file of the store, but not one that lies outside of it.
    ///
    /// Test and boot overlays go too, and so does a former boot overlay that was adopted as a base. Refused (`busy`), with
    /// nothing changed, while a process has one of these open, or when a disk outside stands on a file of the store.
    package func destroy() throws {
        try checkNoDraft()
        let adopted = manifest.disks.filter(\.base.external).map {
            ImageLayer(path: $0.base.path, format: $0.base.format)
        }
        let outside = adopted.filter { name(inside: $0.path) == nil }
        guard try filesBeneath(outside).isEmpty else {
            throw ReplicationError(
                .busy, "a VM's own disks are in this store",
                hint: "move or discard the VM's disks before its replication is removed",
                context: ["relationship": manifest.relationship, "path": directory.path])
        }
        let own = manifest.boots.flatMap { $0.disks.map { directory.path($0.file) } }
        let held = try UnusedImages(own + adopted.map(\.path).filter { name(inside: $0) != nil })
        defer { withExtendedLifetime(held) {} }
        try commit {
            $0.boots = []
            $0.points = []
            $0.layers = []
            $0.retainedMaps = []
            $0.superseded = []
            $0.disks = []
            $0.growing = nil
            ($0.damage, $0.divergence) = (nil, nil)
        }
        _ = try collectGarbage()
        try directory.remove(StoreNames.manifest)
        try directory.sync()
    }

    /// Removes those of `names` that nothing needs.
    ///
    /// What cannot be removed now is left to `collectGarbage()`: the change that
    /// made it rubbish has been committed, and must not be reported as failed.
    func removeUnreferenced(_ names: [String]) throws {
        guard !names.isEmpty else { return }
        do {
            let kept = try keptFiles()
            for name in Set(names).subtracting(kept).sorted() {
                try directory.remove(name)
                try hook(.fileRemoved)
            }
            try directory.sync()
        } catch is ReplicationError {}
    }

    /// Names of the files in the directory that the manifest names.
    var manifestFiles: Set<String> {
        var names: Set<String> = [StoreNames.manifest]
        for disk in manifest.disks where !disk.base.external {
            names.insert(disk.base.path)
            let sums = StoreNames.baseSums(disk.target)
            if directory.exists(sums) { names.insert(sums) }
        }
        for layer in allLayers { names.formUnion(layer.disks.flatMap(\.files)) }
        names.formUnion(manifest.divergence?.disks.compactMap(\.map) ?? [])
        names.formUnion(manifest.points.map(\.domainXML) + manifest.points.compactMap(\.firmware?.file))
        names.formUnion(manifest.retainedMaps.flatMap { $0.maps.values })
        names.formUnion(manifest.boots.flatMap { $0.disks.map(\.file) })
        names.formUnion(manifest.superseded)
        names.formUnion(growingFiles)
        return names
    }

    /// Names of the files that must stay: the manifest's, the open draft's, and all in the directory that an image stands on.
    private func keptFiles() throws -> Set<String> {
        var kept = manifestFiles.union(unrecordedSums)
        if let draft {
            kept.formUnion(
                draft.disks.flatMap { [$0.file, $0.sums].compactMap { $0.map { $0 + StoreNames.part } } })
            kept.formUnion(draft.disks.compactMap { $0.addedBase?.base.path })
        }
        var tops = manifest.disks.map { disk in
            ImageLayer(
                path: disk.base.external ? disk.base.path : directory.path(disk.base.path), format: disk.base.format)
        }
        tops += allLayers.flatMap { $0.disks.map { ImageLayer(path: directory.path($0.file), format: $0.format) } }
        tops += manifest.boots.flatMap { $0.disks.map { ImageLayer(path: directory.path($0.file), format: .qcow2) } }
        return kept.union(try filesBeneath(tops))
    }

    /// Names of the files in the directory among these images and all that they stand on.
    private func filesBeneath(_ tops: [ImageLayer]) throws -> Set<String> {
        var names: Set<String> = []
        var seen: Set<String> = []
        for top in tops {
            var at: ImageLayer? = top
            while let layer = at, seen.insert(layer.path).inserted {
                if let name = name(inside: layer.path) { names.insert(name) }
                guard layer.format == .qcow2 else { break }
                let header = try Qcow2Header(reading: ImageFile(reading: layer.path))
                // Of a foreign image that does not say its backing file's format, at least that file is kept.
                if let bare = header.backingFileWithoutFormat,
                    let name = name(inside: Self.resolve(bare, beside: layer.path))
                {
                    names.insert(name)
                }
                at = header.backing.map {
                    ImageLayer(path: Self.resolve($0.file, beside: layer.path), format: $0.format)
                }
            }
        }
        return names
    }

    private func name(inside path: String) -> String? {
        let path = StoreDirectory.canonical(path)
        guard path.hasPrefix(directory.path + "/") else { return nil }
        return String(path.dropFirst(directory.path.count + 1))
    }
}
