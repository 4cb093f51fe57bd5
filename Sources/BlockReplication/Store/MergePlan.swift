/// What to do next so that chains stay short: a function of the layers, their sizes and who reads them.
///
/// A layer is free when it is no point any more and nobody reads it by name. Free layers are dealt with so:
///
/// - One that nothing stands on goes.
/// - Beneath the oldest point, the lowest is folded into the raw base, if that is free too: each block is written once.
/// - Neighbours are merged when the older one is no more than twice as large as the newer: each block is rewritten a number of
///   times that grows with the logarithm of the layers merged, not with their number.
/// - Between two points they are merged into the upper point once a younger layer lies above that: with hourly points, when an
///   hour is over. So layers wait in one gap between points at a time.
/// - When the chain is too long after all, the merge is chosen that costs least for the time that it gains: a layer's worth of
///   the gap, which is as large as the point above, since that is the next to become free there.
///
/// What is read by name (`held`) is never touched. When the chain is too long, the lowest layer that is not held takes over the
/// content of the held one beneath it, and stands on what is below from then on: the chain forks, and the reader's side stays.
///
///     base ← 1 ← 2 ← 3 ← 4        a test VM reads 2, of which the policy keeps nothing
///     base ← 1 ← 2                its side stays until it is gone
///         └─ 1 ← 3' ← 4           3' holds what 2 and 3 changed
struct MergePlan {
    struct Layer: Equatable {
        var generation: String
        /// The generation beneath; nil for what stands on a base that is not ours to write, or is one.
        var over: String?
        /// On the file system, all disks.
        var bytes: UInt64
        var isPoint = false
        /// False for a raw base.
        var isOverlay = true
        /// Its content has gone into the base.
        var isFolded = false
    }

    enum Step: Equatable {
        /// Remove a layer that nothing stands on.
        case drop(String)
        /// Write a layer's content into the raw base beneath it, and leave it empty.
        case fold(String)
        /// Make the newer layer hold what the older one does, and stand on what that stands on.
        case merge(older: String, newer: String)
    }

    /// Layers of a chain that merging keeps it to, the bases included.
    ///
    /// The next point makes it one more until it is retired again, and the VM's own image over that is the 32nd. With the newest
    /// point, 24 more and the base, four layers are left for what waits to be merged.
    static let longestChain = 30

    private let layers: [Layer]
    private let held: Set<String>
    private let limit: Int
    private let byGeneration: [String: Layer]
    private let above: [String: [Layer]]
    /// From the newest point down.
    private let chain: [Layer]

    /// Plans for these layers, oldest first.
    ///
    /// `held` holds, with each layer, all beneath it. `limit` is what of the chain's length is left for these layers.
    init(_ layers: [Layer], held: Set<String>, limit: Int = MergePlan.longestChain) {
        self.layers = layers
        self.held = held
        self.limit = limit
        let byGeneration = Dictionary(layers.map { ($0.generation, $0) }) { $1 }
        self.byGeneration = byGeneration
        above = Dictionary(grouping: layers.filter { $0.over != nil }) { $0.over ?? "" }
        var chain: [Layer] = []
        var at = layers.last { $0.isPoint }
        while let layer = at, chain.count <= layers.count {
            chain.append(layer)
            at = layer.over.flatMap { byGeneration[$0] }
        }
        self.chain = chain
    }

    /// What is due; nil when nothing is.
    ///
    /// `canFold` is false while somebody has the base open.
    func next(canFold: Bool = true) -> Step? {
        guard !chain.isEmpty else { return nil }
        if let dead = layers.first(where: { isFree($0) && children($0).isEmpty }) { return .drop(dead.generation) }
        if canFold, let fold = foldable { return .fold(fold.generation) }
        if let due = pairs.first(where: isDue) {
            return .merge(older: due.older.generation, newer: due.newer.generation)
        }
        guard chain.count > limit else { return nil }
        return pairs.compactMap { pair in cost(of: pair).map { (pair, $0) } }.min { $0.1 < $1.1 }
            .map { .merge(older: $0.0.older.generation, newer: $0.0.newer.generation) }
    }

    /// Whether the older layer can go once a newer one holds its content.
    func goes(_ older: String) -> Bool {
        byGeneration[older].map { isFree($0) && children($0).count < 2 } ?? false
    }

    private typealias Pair = (older: Layer, newer: Layer)

    private func isFree(_ layer: Layer) -> Bool { !layer.isPoint && !held.contains(layer.generation) }

    private func children(_ layer: Layer) -> [Layer] { above[layer.generation] ?? [] }

    /// Neighbours of the newest point's chain of which the upper may be written anew, newest first.
    private var pairs: [Pair] {
        zip(chain.dropFirst(), chain).filter { $0.isOverlay && !held.contains($1.generation) }.map { ($0, $1) }
    }

    /// The lowest layer with content over a raw base that nothing else needs as it is.
    private var foldable: Layer? {
        guard let base = chain.last, !base.isOverlay, isFree(base) else { return nil }
        var at = base
        while children(at).count == 1, let next = children(at).first, isFree(next), next.isOverlay {
            if !next.isFolded { return next }
            at = next
        }
        return nil
    }

    private func isDue(_ pair: Pair) -> Bool {
        guard goes(pair.older.generation) else { return false }
        if isFree(pair.newer) { return pair.older.bytes / 2 <= pair.newer.bytes }
        // The oldest point stays whole, apart from what lies beneath it.
        guard let youngest = chain.first(where: { isFree($0) && hasPointBeneath($0) }), hasPointBeneath(pair.older)
        else { return false }
        return place(youngest) < place(pair.newer)
    }

    /// Bytes to write for each byte that then arrives before the place gained is taken again; nil for what cannot be merged.
    private func cost(of pair: Pair) -> Double? {
        let (older, newer) = pair
        guard !older.isPoint || held.contains(older.generation) else { return nil }
        let next = chain[...place(newer)].last { $0.isPoint } ?? newer
        let cost = Double(older.bytes + newer.bytes) / Double(max(1, next.bytes))
        let isIntoOldest = isFree(older) && newer.isPoint && place(newer) > 0 && !hasPointBeneath(older)
        return isIntoOldest ? cost * 1e9 : cost
    }

    private func hasPointBeneath(_ layer: Layer) -> Bool { chain[place(layer)...].contains { $0.isPoint } }

    private func place(_ layer: Layer) -> Int {
        chain.firstIndex { $0.generation == layer.generation } ?? chain.count - 1
    }
}
