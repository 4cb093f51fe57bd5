/// A libvirt network that exists for a test: no way out of it, and a mark that says whose it is.
///
/// Without a block the host itself is not in it: nothing but the VMs that are connected to it. Follows libvirt's
/// formatnetwork.
package struct NetworkDefinition: Hashable, Sendable {
    package var name: String
    /// Name of the bridge device at the host, at most 15 characters.
    package var bridge: String
    /// The host's own address in it, with its prefix; nil keeps the host out.
    package var host: HostAddress?
    /// Whose it is; nil for a network that is not ours.
    package var mark: Mark?
    /// It has no `<forward>`: nothing is routed out of it.
    package var isIsolated: Bool

    package struct HostAddress: Hashable, Sendable {
        package var address: String
        package var prefix: Int
        /// First and last address that its DHCP server gives out; nil for none.
        package var dhcp: [String]?

        package init(address: String, prefix: Int, dhcp: [String]? = nil) {
            self.address = address
            self.prefix = prefix
            self.dhcp = dhcp
        }
    }

    /// Says that a network was made for a test, and for which.
    package struct Mark: Hashable, Sendable {
        /// Id of the relationship that is tested.
        package var relationship: String
        /// UUID of the test VM.
        package var test: String

        package init(relationship: String, test: String) {
            self.relationship = relationship
            self.test = test
        }
    }

    package init(name: String, bridge: String, host: HostAddress? = nil, mark: Mark?) {
        self.name = name
        self.bridge = bridge
        self.host = host
        self.mark = mark
        isIsolated = true
    }

    /// The longest name of a network device (Linux, IFNAMSIZ).
    package static let longestBridge = 15

    private static let namespace = "https://perilune.dev/test/1"

    /// The definition as libvirt understands it.
    ///
    /// Refused (`invalidDefinition`) when a value cannot stand in it.
    package func xml() throws -> String {
        guard !bridge.isEmpty, bridge.utf8.count <= Self.longestBridge,
            bridge.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d })
        else {
            throw HypervisorError(
                .invalidDefinition, "'\(bridge.prefix(40))' is no name of a bridge",
                hint: "at most \(Self.longestBridge) small letters, digits and '-'")
        }
        guard !name.isEmpty, !name.contains("/") else {
            throw HypervisorError(.invalidDefinition, "a network's name is not empty and has no '/'", hint: "rename it")
        }
        var network = XMLTree("network")
        network.append(XMLTree("name", text: try XMLTree.checked(name, "the network's name")))
        if let mark {
            let element = XMLTree(
                "perilune:test",
                [
                    "xmlns:perilune": Self.namespace,
                    "relationship": try XMLTree.checked(mark.relationship, "the relationship's id"),
                    "test": try XMLTree.checked(mark.test, "the test VM's UUID"),
                ])
            network.append(XMLTree("metadata", [:], [element]))
        }
        network.append(XMLTree("bridge", ["name": bridge, "stp": "off", "delay": "0"]))
        // Without this, libvirt's own name server would hear the guests.
        network.append(XMLTree("dns", ["enable": "no"]))
        if let host {
            var children: [XMLTree] = []
            if let range = host.dhcp, range.count == 2 {
                children = [XMLTree("dhcp", [:], [XMLTree("range", ["start": range[0], "end": range[1]])])]
            }
            network.append(
                XMLTree("ip", ["family": "ipv4", "address": host.address, "prefix": "\(host.prefix)"], children))
        }
        return network.serialised()
    }

    /// Reads a definition that libvirt wrote.
    package init(xml: String) throws {
        let tree = try XMLTree(parsing: xml)
        guard tree.name == "network", let name = tree.child("name")?.text, !name.isEmpty else {
            throw HypervisorError(
                .invalidDefinition, "the XML describes no network", hint: "give the output of virsh net-dumpxml")
        }
        self.name = name
        bridge = tree.child("bridge")?.attributes["name"] ?? ""
        isIsolated = tree.child("forward") == nil
        mark = (tree.child("metadata")?.children ?? []).lazy.compactMap(Self.mark(of:)).first
        if let ip = tree.child("ip"), let address = ip.attributes["address"] {
            let range = ip.child("dhcp")?.child("range")?.attributes
            let dhcp = range.flatMap { range in range["start"].flatMap { from in range["end"].map { [from, $0] } } }
            host = HostAddress(
                address: address,
                prefix: ip.attributes["prefix"].flatMap { Int($0) }
                    ?? ip.attributes["netmask"].map(Self.prefix(ofMask:)) ?? 24, dhcp: dhcp)
        }
    }

    private static func mark(of element: XMLTree) -> Mark? {
        guard element.name.split(separator: ":").last == "test",
            element.attributes.contains(where: { $0.key.hasPrefix("xmlns") && $0.value == namespace }),
            let relationship = element.attributes["relationship"], let test = element.attributes["test"]
        else { return nil }
        return Mark(relationship: relationship, test: test)
    }

    private static func prefix(ofMask mask: String) -> Int {
        mask.split(separator: ".").compactMap { UInt8($0) }.reduce(0) { $0 + $1.nonzeroBitCount }
    }
}
