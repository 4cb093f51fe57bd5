extension PointStore {
    /// Makes these generations points no more, then merges and folds what chains need no longer apart.
    ///
    /// The newest point cannot be retired. Generations that are no points (any more) are passed over, so that the call can be
    /// repeated. Files beneath a boot overlay, or beneath a generation in `pinned`, stay as they are. What is due when is
    /// `MergePlan`'s.
    ///
    /// Merging and folding may take minutes. Meanwhile the store answers other calls, between two pieces; and once `isAwaited`
    /// says that somebody waits to change it, they stop, for the next call to go on.
    package func retire(
        _ generations: Set<String>, pinned: Set<String> = [], unless isAwaited: @escaping IsAwaited = { false }
    ) async throws {
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
            try removeUnreferenced(retired.map(\.domainXML) + retired.compactMap(\.firmware?.file))
        }
        do { try await shortenChains(held: closure(pinned), unless: isAwaited) } catch is MadeWay {}
        try dropUnusedDisks(held: closure(pinned))
    }

    /// Retires all but the newest `count` points.
    package func keep(newest count: Int, pinned: Set<String> = []) async throws {
        guard count >= 1 else {
            throw ReplicationError(
                .invalidArgument, "at least one recovery point is kept", hint: "give a count of 1 or more")
        }
        try await retire(Set(manifest.points.dropLast(count).map(\.generation)), pinned: pinned)
    }

    /// Generations whose files somebody reads by name: those given, those beneath boot overlays, and all beneath these.
    func closure(_ pinned: Set<String>) -> Set<String> {
        let layers = Dictionary(uniqueKeysWithValues: allLayers.map { ($0.generation, $0) })
        var result: Set<String> = []
        for start in pinned.union(manifest.boots.map(\.generation)).union(checking.values.flatMap(\.self)) {
            var at = layers[start]
            while let layer = at, result.insert(layer.generation).inserted {
                at = layer.over.flatMap { layers[$0] }
            }
        }
        return result
    }

    /// Finishes what an earlier call began, then does what the plan says until it says nothing.
    ///
    /// A layer whose files cannot be read stays as it is, with what is next to it.
    private func shortenChains(held: Set<String>, unless isAwaited: @escaping IsAwaited) async throws {
        var passed = PassedOver(held: held)
        if !mergesAreWhole {
            while let (older, newer) = try unfinishedMerge(passed.held) {
                try await merge(older, into: newer, &passed, unless: isAwaited)
            }
        }
        // One whose upper file is read by name now cannot be finished yet.
        let areWhole = mergesAreWhole || held.isEmpty
        mergesAreWhole = false
        var canFold = true
        let depth = try layersBeneath()
        while let step = plan(passed.held, beneath: depth).next(canFold: canFold) {
            switch step {
            case .drop(let generation):
                try drop(generation)
            case .fold(let generation):
                // Somebody looks at the base, by hand perhaps: there will be another time.
                do { try await fold(generation, unless: isAwaited) } catch let error as ReplicationError
                    where error.code == .busy
                {
                    canFold = false
                } catch let error as ReplicationError where Self.isUnreadable(error) {
                    try pass(over: [generation], error, &passed)
                }
            case .merge(let older, let newer):
                let layers = Dictionary(uniqueKeysWithValues: allLayers.map { ($0.generation, $0) })
                guard let below = layers[older], let top = layers[newer] else { return }
                try await merge(below, into: top, &passed, unless: isAwaited)
            }
        }
        mergesAreWhole = areWhole && passed.areNone
    }

    /// Layers that stay as they are this time: somebody reads them by name, or nobody can.
    private struct PassedOver {
        var held: Set<String>
        var areNone = true
    }

    private func merge(
        _ older: LayerRecord, into newer: LayerRecord, _ passed: inout PassedOver, unless isAwaited: @escaping IsAwaited
    ) async throws {
        let removes = plan(passed.held).goes(older.generation)
        do { try await merge(older, into: newer, removing: removes, unless: isAwaited) } catch let error
            as ReplicationError where Self.isUnreadable(error)
        {
            try pass(over: [older.generation, newer.generation], error, &passed)
        }
    }

    private func pass(over generations: Set<String>, _ error: ReplicationError, _ passed: inout PassedOver) throws {
        passed.held.formUnion(try noteUnreadable(error, among: generations).union(generations))
        passed.areNone = false
    }

    private func plan(_ held: Set<String>, beneath depth: Int = 0) -> MergePlan {
        // Between two steps somebody may have begun to look.
        let held = held.union(closure([]))
        let points = Set(manifest.points.map(\.generation))
        let layers = allLayers.map { layer in
            MergePlan.Layer(
                generation: layer.generation, over: layer.over, bytes: layer.disks.reduce(0) { $0 + $1.bytes },
                isPoint: points.contains(layer.generation),
                isOverlay: layer.disks.allSatisfy { $0.format == .qcow2 }, isFolded: layer.isFolded == true)
        }
        return MergePlan(layers, held: held, limit: max(1, longestChain - depth))
    }

    /// Layers beneath the store's own: an adopted disk, and what that stands on.
    private func layersBeneath() throws -> Int {
        var most = 0
        for disk in manifest.disks where disk.base.external {
            var count = 1
            var at = ImageLayer(path: disk.base.path, format: disk.base.format)
            while at.format == .qcow2, count < MergePlan.longestChain,
                let backing = try Qcow2Header(reading: ImageFile(reading: at.path)).backing
            {
                at = ImageLayer(path: Self.resolve(backing.file, beside: at.path), format: backing.format)
                count += 1
            }
            most = max(most, count)
        }
        return most
    }
}
