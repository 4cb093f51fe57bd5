import Hypervisors

extension WorldState {
    /// All that an operation changes in the world, part by part, without what guests and time do by themselves.
    ///
    /// Two instants with the same fingerprint differ in nothing that anybody did; names of parts that differ say where to
    /// look. Good within one process only.
    package var fingerprint: [String: Int] {
        var parts: [String: Int] = [:]
        for host in hosts.values {
            for domain in host.domains.values {
                var hasher = Hasher()
                // A guest on its way down goes down by itself.
                hasher.combine(domain.goesDown ? PowerState.off : domain.power)
                hasher.combine(domain.autostart)
                hasher.combine(domain.storedXML)
                hasher.combine(domain.checkpoints)
                hasher.combine(host.backups[domain.uuid]?.request.checkpoint)
                parts["\(host.name): VM \(domain.name)"] = hasher.finalize()
            }
            parts["\(host.name): files"] = Set(host.files.keys).hashValue
            parts["\(host.name): networks"] = host.madeNetworks.keys.sorted().hashValue
            parts["\(host.name): records"] = host.ownership.hashValue ^ host.confirmed.hashValue
            parts["\(host.name): seeds"] = host.seeds.hashValue
            for (relationship, store) in host.stores {
                var hasher = Hasher()
                hasher.combine(store.layers.map(\.generation))
                hasher.combine(store.layers.map(\.isPoint))
                hasher.combine(store.draft?.token)
                hasher.combine(store.adopted)
                hasher.combine(store.boots.mapValues(\.generation))
                hasher.combine([store.epoch, store.retired.count])
                hasher.combine(store.owner)
                parts["\(host.name): points of \(relationship)"] = hasher.finalize()
            }
        }
        return parts
    }
}
