/// A host that a replica may be placed on, as it was found.
package struct PlacementCandidate: Hashable, Sendable {
    package var host: String
    /// Its place in the order of preference; hosts of one cluster share one.
    package var rank: Int
    /// Its hypervisor and its agent answer.
    package var healthy: Bool
    package var networks: Set<String>
    /// Folder of its points, and bytes free there.
    package var store: String
    package var freeBytes: UInt64

    package init(
        host: String, rank: Int, healthy: Bool, networks: Set<String>, store: String, freeBytes: UInt64
    ) {
        self.host = host
        self.rank = rank
        self.healthy = healthy
        self.networks = networks
        self.store = store
        self.freeBytes = freeBytes
    }
}

/// What a replica needs of its host.
package struct PlacementNeed: Hashable, Sendable {
    /// Identity of the VM.
    package var vm: String
    /// Networks that its NICs are mapped to.
    package var networks: Set<String>
    package var bytes: UInt64
    /// The classes that its disks' classes are mapped to.
    package var classes: [StorageClass]

    package init(vm: String, networks: Set<String> = [], bytes: UInt64 = 0, classes: [StorageClass] = []) {
        self.vm = vm
        self.networks = networks
        self.bytes = bytes
        self.classes = classes
    }
}

/// Where a replica goes, and what speaks against it.
package struct Placement: Hashable, Sendable {
    package var host: String
    /// Whether the host's store is of every class that was asked for; false is the host's default place.
    package var inClass: Bool
    package var reachesNetworks: Bool
    package var hasSpace: Bool

    /// The best healthy host; nil when none is.
    ///
    /// A host that reaches the mapped networks comes before one that does not (reference 1.8 d), one whose store is of the
    /// mapped class before one whose is not, then one with space, then the order of preference. Among the hosts of a cluster the
    /// VM's identity decides, so that VMs spread over them and each finds the same one again (reference 1.5, 1.9).
    package static func choose(_ need: PlacementNeed, among candidates: [PlacementCandidate]) -> Placement? {
        candidates.filter(\.healthy).map { candidate in
            (candidate: candidate, placement: Placement(candidate, need))
        }.min { a, b in
            if a.placement.faults != b.placement.faults { return a.placement.faults < b.placement.faults }
            if a.candidate.rank != b.candidate.rank { return a.candidate.rank < b.candidate.rank }
            let weights = (weight(a.candidate.host, need.vm), weight(b.candidate.host, need.vm))
            return weights.0 != weights.1 ? weights.0 > weights.1 : a.candidate.host < b.candidate.host
        }?.placement
    }

    private init(_ candidate: PlacementCandidate, _ need: PlacementNeed) {
        host = candidate.host
        inClass = need.classes.allSatisfy { $0.holds(candidate.store, at: candidate.host) }
        reachesNetworks = need.networks.isSubset(of: candidate.networks)
        hasSpace = candidate.freeBytes >= need.bytes
    }

    /// What is missing, the gravest as the highest bit.
    private var faults: Int { (reachesNetworks ? 0 : 4) + (inClass ? 0 : 2) + (hasSpace ? 0 : 1) }

    /// FNV-1a of host and VM: when a host goes or comes, only the VMs of that host move.
    private static func weight(_ host: String, _ vm: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(host)/\(vm)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        // The last bytes hardly reach the high bits otherwise, and those decide.
        hash = (hash ^ (hash >> 32)) &* 0xd6e8_feb8_6659_fd93
        return hash ^ (hash >> 32)
    }
}
