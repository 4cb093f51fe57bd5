/// What is known of the network that a NIC is to be addressed in.
package struct AddressedNetwork: Hashable, Sendable {
    package var name: String
    package var isolation: NetworkIsolation
    /// Its block; nil where nobody has said.
    package var block: IPv4Block?
    /// The addresses that it gives out; nil where a DHCP server does, or nobody.
    package var pool: AddressPool?
    package var gateway: IPv4Address?
    /// Addresses that somebody there has.
    package var taken: Set<IPv4Address>
    package var hasDHCP: Bool

    package init(
        name: String, isolation: NetworkIsolation = .none, block: IPv4Block? = nil, pool: AddressPool? = nil,
        gateway: IPv4Address? = nil, taken: Set<IPv4Address> = [], hasDHCP: Bool = false
    ) {
        self.name = name
        self.isolation = isolation
        self.block = block
        self.pool = pool
        self.gateway = gateway
        self.taken = taken
        self.hasDHCP = hasDHCP
    }
}

extension AddressedNetwork {
    /// What a network of the vault says of the addresses in it.
    ///
    /// Where a NIC's own settings do not say which subnet is meant, it is the first (reference 1.8).
    package init(_ network: VMNetwork, isolation: NetworkIsolation) {
        let subnet = network.subnets.first
        self.init(
            name: network.name, isolation: isolation, block: subnet?.block, pool: subnet?.pool,
            gateway: subnet?.gateway)
    }
}

/// What one NIC's guest is told.
package enum AddressDecision: Hashable, Sendable {
    /// Nothing: it keeps what it has.
    case keep
    /// To ask a DHCP server; the address is nobody's business here.
    case dhcp
    case assign(AssignedAddress)
    /// Nothing, because the NIC is connected to nothing.
    case unconnected
}

/// An address with all that a guest needs to use it.
package struct AssignedAddress: Codable, Hashable, Sendable {
    package var address: IPv4Address
    package var prefix: Int
    package var gateway: IPv4Address?
    package var dns: [IPv4Address]

    package init(address: IPv4Address, prefix: Int, gateway: IPv4Address? = nil, dns: [IPv4Address] = []) {
        self.address = address
        self.prefix = prefix
        self.gateway = gateway
        self.dns = dns
    }
}

/// A combination that cannot work, as one sentence with what to do.
package struct AddressRefusal: Error, Hashable, Sendable {
    package var sentence: String
    package var hint: String
}

/// The addresses of NICs in a test and after a failover (reference 5.3): decisions alone, nothing is done.
package enum AddressPlan {
    /// The address of a NIC in the network of a test.
    ///
    /// The same address as in a real failover if it is free there, else another free one. Settings for the test
    /// outweigh those of the failover; without either the guest keeps what it has. `warnings` are combinations that
    /// work and may surprise.
    package static func inTest(
        _ settings: NICSettings?, network: AddressedNetwork?
    ) -> Result<(AddressDecision, warnings: [String]), AddressRefusal> {
        guard let network else { return .success((.unconnected, [])) }
        if let refusal = unfit(network, wants: settings?.test ?? settings?.failover) { return .failure(refusal) }
        if let test = settings?.test { return decide(test, fallback: settings?.failover, in: network) }
        return decide(settings?.failover ?? NICAddressing(.keep), fallback: nil, in: network)
    }

    /// The address of a NIC after a real failover; `taken` are those that others are known to have.
    package static func afterFailover(
        _ addressing: NICAddressing?, network: AddressedNetwork?
    ) -> Result<(AddressDecision, warnings: [String]), AddressRefusal> {
        guard let network else { return .success((.unconnected, [])) }
        guard let addressing else { return .success((.keep, [])) }
        if addressing.mode == .static, let address = addressing.address, network.taken.contains(address) {
            return .failure(
                AddressRefusal(
                    sentence: "the address \(address) is another VM's in \(network.name)",
                    hint: "give this VM's NIC another one, or mode \"pool\""))
        }
        return decide(addressing, fallback: nil, in: network)
    }

    /// Combinations of a network with what is wanted of it that cannot give an address (reference 5.3, last but one
    /// row).
    private static func unfit(_ network: AddressedNetwork, wants: NICAddressing?) -> AddressRefusal? {
        guard network.isolation == .overlay else { return nil }
        if network.block == nil {
            return AddressRefusal(
                sentence: "the network \(network.name) is an overlay without a subnet: it has no address to give",
                hint: "add a subnet with a pool to it, or test in another network")
        }
        if network.pool == nil, wants?.pool == nil {
            return AddressRefusal(
                sentence: "the network \(network.name) is an overlay without a pool, where no DHCP server is heard",
                hint: "add a pool to its subnet: an overlay needs one even for guests that ask by DHCP")
        }
        return nil
    }

    private static func decide(
        _ wanted: NICAddressing, fallback: NICAddressing?, in network: AddressedNetwork
    ) -> Result<(AddressDecision, warnings: [String]), AddressRefusal> {
        switch wanted.mode {
        case .keep: return .success((.keep, []))
        case .dhcp: return .success((.dhcp, dhcpWarnings(network)))
        case .static, .pool: break
        }
        let like = wanted.address ?? fallback?.address
        let pool = wanted.pool ?? fallback?.pool ?? network.pool
        guard let prefix = wanted.prefix ?? network.block?.prefix ?? fallback?.prefix else {
            return .failure(
                AddressRefusal(
                    sentence: "an address in \(network.name) has no prefix", hint: "give the NIC's settings a prefix"))
        }
        if let like, !network.taken.contains(like), isIn(network.block, like),
            wanted.mode == .static || fits(pool, like)
        {
            return .success((.assign(assigned(like, prefix, wanted, network)), []))
        }
        guard let pool else {
            let why = like.map { network.taken.contains($0) ? "is taken" : "is not of its subnet" } ?? "is not given"
            return .failure(
                AddressRefusal(
                    sentence: "the address \(like.map { "\($0) " } ?? "")\(why) in \(network.name), "
                        + "and there is no pool to take another from",
                    hint: "give the NIC a pool for this case, or free the address"))
        }
        let taken = network.taken.union([network.gateway, wanted.gateway].compactMap { $0 })
        guard let other = pool.allocate(preferred: like, taken: taken) else {
            return .failure(
                AddressRefusal(
                    sentence: "no address of \(pool.first)-\(pool.last) is free in \(network.name)",
                    hint: "make the pool larger, or clean tests up that hold its addresses"))
        }
        let warnings = like.map { $0 == other ? [] : ["\($0) is not free in \(network.name): \(other) is given"] } ?? []
        return .success((.assign(assigned(other, prefix, wanted, network)), warnings))
    }

    private static func isIn(_ block: IPv4Block?, _ address: IPv4Address) -> Bool {
        block.map { $0.containsHost(address) } ?? true
    }

    private static func fits(_ pool: AddressPool?, _ address: IPv4Address) -> Bool {
        pool.map { $0.contains(address) } ?? true
    }

    private static func assigned(
        _ address: IPv4Address, _ prefix: Int, _ wanted: NICAddressing, _ network: AddressedNetwork
    ) -> AssignedAddress {
        AssignedAddress(
            address: address, prefix: prefix, gateway: wanted.gateway ?? network.gateway, dns: wanted.dns)
    }

    private static func dhcpWarnings(_ network: AddressedNetwork) -> [String] {
        network.hasDHCP || network.isolation == .overlay
            ? []
            : ["\(network.name) is not known to have a DHCP server: see that one with enough addresses answers there"]
    }
}

/// A NIC that is to be placed.
package struct NICWish: Hashable, Sendable {
    /// The hardware address that the VM itself knows: what its settings are found by.
    package var original: String
    /// The one that it has where it is placed.
    package var mac: String
    /// Network that it is connected to; nil for none.
    package var network: String?

    package init(original: String, mac: String, network: String?) {
        self.original = original
        self.mac = mac
        self.network = network
    }
}

extension AddressPlan {
    /// What a VM's NICs are placed for.
    package enum Place: String, Hashable, Sendable {
        case test, failover, home
    }

    /// Places all NICs of one VM: no two get one address.
    ///
    /// A NIC whose address cannot be given is placed without one, and named in `refusals`.
    package static func place(
        _ wishes: [NICWish], for place: Place, settings: [NICSettings], networks: [String: AddressedNetwork]
    ) -> (nics: [PlacedNIC], findings: [String], refusals: [AddressRefusal]) {
        var networks = networks
        var placed: [PlacedNIC] = []
        var findings: [String] = []
        var refusals: [AddressRefusal] = []
        for wish in wishes {
            let own = settings.first { $0.mac == wish.original.lowercased() }
            let network = wish.network.map { networks[$0] ?? AddressedNetwork(name: $0) }
            let answer =
                switch place {
                case .test: inTest(own, network: network)
                case .failover: afterFailover(own?.failover, network: network)
                case .home: afterFailover(own?.home, network: network)
                }
            var nic = PlacedNIC(original: wish.original, mac: wish.mac, network: wish.network)
            switch answer {
            case .success((let decision, let warnings)):
                findings += warnings
                if case .assign(let address) = decision {
                    nic.address = address
                    if let name = wish.network {
                        networks[name, default: AddressedNetwork(name: name)].taken.insert(address.address)
                    }
                }
                nic.dhcp = decision == .dhcp
            case .failure(let refusal): refusals.append(refusal)
            }
            placed.append(nic)
        }
        return (placed, findings + untold(placed), refusals)
    }

    /// A guest that is told of some of its NICs takes that for all there is to know (cloud-init writes its
    /// configuration anew).
    private static func untold(_ nics: [PlacedNIC]) -> [String] {
        guard nics.contains(where: { $0.address != nil || $0.dhcp }) else { return [] }
        return nics.filter { $0.network != nil && $0.address == nil && !$0.dhcp }.map {
            "NIC \($0.original) has no settings while another has: cloud-init then leaves it without an address"
        }
    }
}
