/// A network that VMs are connected to: at the hosts, the libvirt network of the same name (reference 1.7).
package struct VMNetwork: SiteObject {
    package static let kind = "vm-network"
    package var id: String
    package var name: String
    /// Id of the logical network that it is linked to.
    package var logicalNetwork: String
    package var parent: String? { logicalNetwork }
    /// In order: where no subnet has the wanted name, the first is taken.
    package var subnets: [Subnet]

    package init(id: String, name: String, logicalNetwork: String, subnets: [Subnet] = []) {
        self.id = id
        self.name = name
        self.logicalNetwork = logicalNetwork
        self.subnets = subnets
    }
}

/// A subnet of a VM network.
package struct Subnet: Codable, Hashable, Sendable {
    package var name: String
    package var block: IPv4Block
    package var gateway: IPv4Address?
    package var dns: [IPv4Address]
    /// VLAN number, 1 to 4094; nil where the logical network is not kept apart by VLANs.
    package var vlan: Int?
    /// The addresses that are given out; nil where a DHCP server outside does it.
    package var pool: AddressPool?

    package init(
        name: String, block: IPv4Block, gateway: IPv4Address? = nil, dns: [IPv4Address] = [], vlan: Int? = nil,
        pool: AddressPool? = nil
    ) {
        self.name = name
        self.block = block
        self.gateway = gateway
        self.dns = dns
        self.vlan = vlan
        self.pool = pool
    }
}

extension Subnet: Checkable {
    package static let vlanLimits = 1...4094

    package var violations: [FieldViolation] {
        var found = [FieldCheck.name(name, "subnets.name")]
        if let gateway, !block.containsHost(gateway) {
            found.append(
                FieldViolation("subnets.gateway", given: "\(gateway)", allowed: "a host's address of \(block)"))
        }
        if let vlan, !Self.vlanLimits.contains(vlan) {
            found.append(FieldViolation("subnets.vlan", given: "\(vlan)", allowed: "1 to 4094"))
        }
        guard let pool else { return found.compactMap { $0 } }
        if !block.containsHost(pool.first) || !block.containsHost(pool.last) || pool.last < pool.first {
            found.append(
                FieldViolation(
                    "subnets.pool", given: "\(pool.first)-\(pool.last)",
                    allowed: "a range of hosts' addresses of \(block), the lower first"))
        }
        if let outside = pool.reserved.first(where: { $0 < pool.first || pool.last < $0 }) {
            found.append(
                FieldViolation(
                    "subnets.reserved", given: "\(outside)", allowed: "addresses of \(pool.first)-\(pool.last)"))
        }
        if let gateway, pool.contains(gateway) {
            found.append(
                FieldViolation(
                    "subnets.pool", given: "a range with the gateway \(gateway)",
                    allowed: "a range without it, or with it among the reserved"))
        }
        return found.compactMap { $0 }
    }
}

extension VMNetwork: Checkable {
    package var violations: [FieldViolation] {
        var found = [FieldCheck.name(name), FieldCheck.distinct(subnets.map(\.name), "subnets")].compactMap { $0 }
        found += subnets.flatMap(\.violations)
        for (index, subnet) in subnets.enumerated() {
            if let other = subnets[..<index].first(where: { $0.block.overlaps(subnet.block) && $0.vlan == subnet.vlan })
            {
                found.append(
                    FieldViolation(
                        "subnets.block", given: "\(subnet.block)", allowed: "a block apart from \(other.block)"))
            }
        }
        return found
    }

    /// What a subnet must hold beside its own rules, for the isolation of its logical network (reference 5.3).
    package func violations(under isolation: NetworkIsolation) -> [FieldViolation] {
        subnets.compactMap { subnet in
            switch isolation {
            case .vlan where subnet.vlan == nil:
                FieldViolation(
                    "subnets.vlan", given: "", allowed: "1 to 4094: the logical network is kept apart by VLANs")
            case .overlay where subnet.pool == nil:
                FieldViolation(
                    "subnets.pool", given: "", allowed: "a range: in an overlay only a pool hands addresses out")
            case .none where subnet.vlan != nil:
                FieldViolation(
                    "subnets.vlan", given: "\(subnet.vlan ?? 0)", allowed: "none: the logical network has no isolation")
            default: nil
            }
        }
    }
}
