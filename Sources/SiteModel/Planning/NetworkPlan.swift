/// Where the NICs of a VM are connected when it starts at the other side (reference 1.8).
///
/// A network maps to one target or to none; a NIC whose network maps to none is left disconnected. On the way back the
/// mappings of the way there are read backwards, unless the recovery cloud has mappings of its own.
package struct NetworkPlan: Hashable, Sendable {
    private var forward: [String: String]
    /// For each network at the side that is left, the networks that map to it from the side that is entered.
    private var backward: [String: Set<String>]

    /// The plan for VMs that leave cloud `source` and start in cloud `target`.
    package init(from source: String, to target: String, mappings: [NetworkMapping]) {
        forward = [:]
        backward = [:]
        for mapping in mappings {
            if mapping.sourceCloud == source, mapping.targetCloud == target {
                forward[mapping.name] = mapping.targetNetwork
            } else if mapping.sourceCloud == target, mapping.targetCloud == source {
                backward[mapping.targetNetwork, default: []].insert(mapping.name)
            }
        }
    }

    /// The plan for a VM outside every cloud, from the table of its relationship.
    ///
    /// The table is written for the direction home to target; `returning` is true on the way back.
    package init(networks: [String: String], returning: Bool) {
        forward = returning ? [:] : networks
        backward = [:]
        if returning {
            for (home, away) in networks { backward[away, default: []].insert(home) }
        }
    }

    /// The network for a NIC that is now on `network`; nil leaves it disconnected.
    ///
    /// `original` is the network that the NIC had before it left: it decides when several networks map to the present
    /// one. Without it such a NIC is left disconnected, because a wrong network is worse than none.
    package func target(of network: String?, original: String? = nil) -> String? {
        guard let network else { return nil }
        if let mapped = forward[network] { return mapped }
        guard let candidates = backward[network] else { return nil }
        if let original, candidates.contains(original) { return original }
        return candidates.count == 1 ? candidates.first : nil
    }
}
