/// The stores of the relationships that this agent has worked on: each is opened once and stays open.
actor PointStores {
    private let root: String
    private var open: [String: PointStore] = [:]

    init(root: String) {
        self.root = root
    }

    /// The store of a relationship; nil when this host has none.
    func existing(_ relationship: String) async throws -> PointStore? {
        try StoreNames.checkRelationship(relationship)
        if let store = open[relationship] { return store }
        do {
            let store = try PointStore.open(root: root, relationship: relationship)
            open[relationship] = store
            try await tidy(store)
            return store
        } catch let error as ReplicationError where error.code == .notFound {
            return nil
        }
    }

    /// The store of a relationship; throws `notFound` when this host has none.
    func required(_ relationship: String) async throws -> PointStore {
        if let store = try await existing(relationship) { return store }
        throw ReplicationError(
            .notFound, "this host keeps no points of relationship \(relationship)",
            hint: "check that the relationship's target is this host", context: ["relationship": relationship])
    }

    /// The store of a relationship, made when there is none.
    func orNew(_ fresh: Manifest) async throws -> PointStore {
        if let store = try await existing(fresh.relationship) { return store }
        let store = try PointStore.openOrCreate(root: root, fresh)
        open[fresh.relationship] = store
        return store
    }

    /// Lets go of a store that has been removed.
    func forget(_ relationship: String) async {
        await open.removeValue(forKey: relationship)?.close()
    }

    /// Lets go of all stores, so that another process may open them.
    func closeAll() async {
        let stores = open.values
        open = [:]
        for store in stores { await store.close() }
    }

    /// Throws away what a process that died in the middle has left behind.
    ///
    /// A store whose chain cannot be followed keeps everything, and stays usable.
    private func tidy(_ store: PointStore) async throws {
        do { _ = try await store.collectGarbage() } catch is ReplicationError {}
    }
}
