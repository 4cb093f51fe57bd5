import BlockReplication
import Hypervisors
import SiteModel

/// Where a test VM is connected.
enum TestNetworkChoice: Hashable, Sendable {
    case none
    /// An isolated network for each network of the VM, made for this test and removed with it.
    case create
    case existing(String)

    init(_ argument: String?) {
        switch argument {
        case nil, "none"?: self = .none
        case "create"?: self = .create
        case let name?: self = .existing(name)
        }
    }
}

extension JobDriver {
    /// The networks that a test makes: one for each that the VM is connected to, named after the test.
    func networksToCreate(for nics: [DomainNIC], test: TestRecord) -> [CreatedNetwork] {
        var stands: [String] = []
        for network in nics.compactMap(\.network) where !stands.contains(network) { stands.append(network) }
        return stands.enumerated().map { index, network in
            // Ten figures of the test's identity, and the place: unlikely to meet another's, and short enough for a
            // device.
            let digits = test.vmUUID.filter(\.isHexDigit).lowercased().prefix(10)
            return CreatedNetwork(name: "\(test.vmName)-\(index + 1)", bridge: "pt\(digits)\(index)", stands: network)
        }
    }

    func mark(of test: TestRecord) -> NetworkDefinition.Mark {
        NetworkDefinition.Mark(relationship: relationship.id, test: test.vmUUID)
    }

    /// Makes the test's networks, as far as they are not there.
    func ensureNetworks(of test: TestRecord, at hypervisor: any Hypervisor) async throws {
        for (index, network) in (test.networks ?? []).enumerated() {
            try await hypervisor.defineNetwork(
                NetworkDefinition(
                    name: network.name, bridge: network.bridge, host: index == 0 ? try hostAddress() : nil,
                    mark: mark(of: test)))
        }
    }

    /// The host's address in the first network that is made, where one is asked for.
    private func hostAddress() throws -> NetworkDefinition.HostAddress? {
        guard let text = argument("host_address") else { return nil }
        let range = try argument("dhcp").map(Self.range)
        let parts = text.split(separator: "/").map(String.init)
        guard parts.count == 2, let address = IPv4Address(parts[0]), let prefix = Int(parts[1]),
            let block = IPv4Block("\(address.network(prefix))/\(prefix)"), block.containsHost(address),
            range.map({ block.containsHost($0.first) && block.containsHost($0.last) }) ?? true
        else {
            throw EngineError(
                .invalid, "'\(text)' is no host's address with its prefix, or the DHCP range is not of its block",
                hint: "as in host_address = \"192.168.77.1/24\", dhcp = \"192.168.77.50-192.168.77.99\"",
                object: relationship.name)
        }
        return NetworkDefinition.HostAddress(
            address: "\(address)", prefix: prefix, dhcp: range.map { ["\($0.first)", "\($0.last)"] })
    }

    private static func range(_ text: String) throws -> AddressPool {
        guard let pool = AddressPool(range: text) else {
            throw EngineError(
                .invalid, "'\(text.prefix(60))' is no range of addresses",
                hint: "the first and the last, as in \"192.168.77.50-192.168.77.99\"")
        }
        return pool
    }
}
