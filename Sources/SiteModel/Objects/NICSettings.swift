/// Where a NIC's address comes from when the VM starts somewhere else.
package enum AddressMode: String, Codable, Hashable, Sendable, CaseIterable {
    /// The guest is told nothing and keeps the address that it has.
    case keep
    /// The guest asks a DHCP server of the network; nobody here manages the address.
    case dhcp
    /// One address, written here.
    case `static`
    /// One of a range: the wanted one if it is free, else the lowest free one.
    case pool
}

/// How one NIC is addressed at one place.
package struct NICAddressing: Codable, Hashable, Sendable {
    package var mode: AddressMode
    /// Of `static` the address, of `pool` the one wanted first.
    package var address: IPv4Address?
    /// Length of the network's prefix; needed wherever an address is given.
    package var prefix: Int?
    package var gateway: IPv4Address?
    package var dns: [IPv4Address]
    /// Of `pool` the range.
    package var pool: AddressPool?

    package init(
        _ mode: AddressMode, address: IPv4Address? = nil, prefix: Int? = nil, gateway: IPv4Address? = nil,
        dns: [IPv4Address] = [], pool: AddressPool? = nil
    ) {
        self.mode = mode
        self.address = address
        self.prefix = prefix
        self.gateway = gateway
        self.dns = dns
        self.pool = pool
    }

    /// The most servers of names that a guest is told of.
    package static let longestDNS = 8

    /// What is wrong, each as one sentence; empty when the settings may be used.
    package var problems: [String] {
        switch mode {
        case .keep, .dhcp:
            let given = [
                address == nil ? nil : "address", prefix == nil ? nil : "prefix", gateway == nil ? nil : "gateway",
                dns.isEmpty ? nil : "dns", pool == nil ? nil : "pool",
            ].compactMap { $0 }
            return given.isEmpty
                ? [] : ["mode \"\(mode.rawValue)\" takes no \(given.joined(separator: " and no ")): leave it out"]
        case .static, .pool:
            return addressed
        }
    }

    private var addressed: [String] {
        var found: [String] = []
        if mode == .static, address == nil { found.append("mode \"static\" needs an address such as \"10.0.8.21\"") }
        if mode == .static, pool != nil { found.append("mode \"static\" takes no pool; mode \"pool\" does") }
        if mode == .pool, pool == nil { found.append("mode \"pool\" needs a pool such as \"10.0.8.20-10.0.8.60\"") }
        guard let prefix, (1...30).contains(prefix) else {
            return found + ["an IPv4 address needs its prefix, 1 to 30"]
        }
        if dns.count > Self.longestDNS { found.append("\(dns.count) name servers are too many: at most 8") }
        guard let block = (address ?? pool?.first).flatMap({ IPv4Block("\($0.network(prefix))/\(prefix)") }) else {
            return found
        }
        for (what, value) in [
            ("the address", address), ("the gateway", gateway), ("the pool's first address", pool?.first),
            ("the pool's last address", pool?.last),
        ] {
            guard let value, !block.containsHost(value) else { continue }
            found.append("\(what) \(value) is no host's address of \(block)")
        }
        if let pool, pool.last < pool.first { found.append("the pool \(pool.first)-\(pool.last) is upside down") }
        return found
    }
}

extension IPv4Address {
    /// The lowest address of the block of that prefix that the address is in.
    package func network(_ prefix: Int) -> IPv4Address {
        IPv4Address(value: prefix <= 0 ? 0 : value & (~UInt32(0) << UInt32(32 - min(32, prefix))))
    }
}

/// What becomes of one NIC of a VM away from where it was set up.
package struct NICSettings: Codable, Hashable, Sendable {
    /// Hardware address of the VM's NIC, in small letters: the same at both sites.
    package var mac: String
    /// At the other side, after a failover.
    package var failover: NICAddressing?
    /// Back at home, after a failback; where it is missing the guest is told nothing.
    package var home: NICAddressing?
    /// In the network of a test.
    package var test: NICAddressing?

    package init(
        mac: String, failover: NICAddressing? = nil, home: NICAddressing? = nil, test: NICAddressing? = nil
    ) {
        self.mac = mac
        self.failover = failover
        self.home = home
        self.test = test
    }
}

extension AddressPool {
    /// Reads "first-last"; nil for anything else.
    package init?(range text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { $0.filter { $0 != " " } }
        guard parts.count == 2, let first = IPv4Address(parts[0]), let last = IPv4Address(parts[1]), first <= last
        else { return nil }
        self.init(first: first, last: last)
    }
}
