import SiteModel

/// What is known to be wrong with the layers of a store, as it moves with their blocks.
struct LayerDamages {
    /// Places that are kept of one layer's disk; of more, near neighbours are joined.
    private static let limit = 4096

    private var entries: [LayerDamage]

    init(_ entries: [LayerDamage]?) { self.entries = entries ?? [] }

    /// The list to be kept, without what is of a layer that goes; nil when there is nothing.
    func list(of gone: String? = nil) -> [LayerDamage]? {
        let left = entries.filter { $0.generation != gone && ($0.target == nil || !$0.ranges.isEmpty) }
        return left.isEmpty ? nil : left
    }

    /// What is wrong with a layer's disk, by cause: a block that differs may be unreadable too.
    subscript(generation: String, target: String) -> [(map: ExtentMap, cause: PointDamage.Cause, at: Timestamp)] {
        entries.filter { $0.generation == generation && $0.target == target }.compactMap { entry in
            guard let map = try? ExtentMap(checked: entry.ranges), !map.isEmpty else { return nil }
            return (map, entry.cause, entry.at)
        }
    }

    /// Adds what was found; what is known already of a cause keeps its time.
    mutating func add(
        _ generation: String, _ target: String, _ extents: some Sequence<Extent>, _ cause: PointDamage.Cause,
        at time: Timestamp
    ) {
        let found = ExtentMap(extents.map { Extent(offset: $0.offset, length: $0.length) })
        guard !found.isEmpty else { return }
        let known = self[generation, target].first { $0.cause == cause }
        set(generation, target, known?.map.union(found) ?? found, cause, known?.at ?? time)
    }

    /// The definition of a point is damaged.
    mutating func addDefinition(_ generation: String, at time: Timestamp) {
        guard !entries.contains(where: { $0.generation == generation && $0.target == nil }) else { return }
        entries.append(LayerDamage(generation: generation, target: nil, ranges: [], cause: .altered, at: time))
    }

    /// Whether the definition of a point is damaged, since when that is known.
    func definition(_ generation: String) -> Timestamp? {
        entries.first { $0.generation == generation && $0.target == nil }?.at
    }

    /// Takes what was wrong with an older layer into a newer one that holds its blocks from now on, but for those that the newer
    /// one had of its own.
    mutating func merge(
        _ older: String, into newer: String, target: String, over own: ExtentMap, found: [Extent], at time: Timestamp
    ) {
        for below in self[older, target] {
            add(newer, target, below.map.subtracting(own), below.cause, at: below.at)
        }
        add(newer, target, found, .altered, at: time)
    }

    /// The base holds a layer's blocks from now on; what it had there itself is gone.
    mutating func fold(
        _ layer: String, into base: String, target: String, extents: ExtentMap, found: [Extent], at time: Timestamp
    ) {
        let above = self[layer, target]
        for below in self[base, target] {
            set(base, target, below.map.subtracting(extents), below.cause, below.at)
        }
        for above in above {
            set(layer, target, ExtentMap(), above.cause, above.at)
            add(base, target, above.map, above.cause, at: above.at)
        }
        add(base, target, found, .altered, at: time)
    }

    /// Forgets what was wrong in a range of a layer's disk, but not that it differs from the source.
    mutating func clear(_ generation: String, _ target: String, _ range: ExtentMap) {
        for known in self[generation, target] where known.cause != .differs {
            set(generation, target, known.map.subtracting(range), known.cause, known.at)
        }
    }

    mutating func clearDefinition(_ generation: String) {
        entries.removeAll { $0.generation == generation && $0.target == nil }
    }

    private mutating func set(
        _ generation: String, _ target: String, _ map: ExtentMap, _ cause: PointDamage.Cause, _ time: Timestamp
    ) {
        let index = entries.firstIndex { $0.generation == generation && $0.target == target && $0.cause == cause }
        let entry = LayerDamage(
            generation: generation, target: target, ranges: map.ranges(atMost: Self.limit), cause: cause, at: time)
        switch (index, map.isEmpty) {
        case (let index?, true): entries.remove(at: index)
        case (let index?, false): entries[index] = entry
        case (nil, true): break
        case (nil, false): entries.append(entry)
        }
    }
}
