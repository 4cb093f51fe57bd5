extension DomainDefinition {
    /// The same with all NICs on one network, at addresses that libvirt makes up.
    package mutating func becomeTest(name: String, uuid: String, network: String?) throws {
        try becomeTest(name: name, uuid: uuid, nics: nics.map { _ in (mac: nil, network: network) })
    }

    /// Turns the definition into that of a test VM, which can run beside the VM itself and meet nothing of it.
    ///
    /// It has its own name, UUID and MAC addresses, no ownership record, and writes no log file of the VM's. Each NIC
    /// is on the network that `nics` gives it, in the order of the definition, or connected to nothing.
    package mutating func becomeTest(name: String, uuid: String, nics: [(mac: String?, network: String?)]) throws {
        _ = try XMLTree.checked(name, "the test VM's name")
        _ = try XMLTree.checked(uuid, "the test VM's UUID")
        for value in nics {
            _ = try XMLTree.checked((value.mac ?? "") + (value.network ?? ""), "a NIC's address or network")
        }
        let own = self.nics
        let keys = Set(own.flatMap { [$0.mac] + [$0.network].compactMap { $0 } })
        // By place: two NICs may have no address, or be on one network.
        try setNetworks(Dictionary(uniqueKeysWithValues: keys.map { ($0, nil) }))
        try setOwnership(nil)
        removeHostState()
        tree.edit("name") { $0 = XMLTree("name", text: name) }
        tree.edit("uuid") { $0 = XMLTree("uuid", text: uuid) }
        var place = 0
        tree.edit("devices") { devices in
            devices.editChildren { device in
                switch device.name {
                case "interface":
                    let wanted = place < nics.count ? nics[place] : nil
                    place += 1
                    // libvirt makes up a fresh address where none is given.
                    device.remove("mac")
                    if let mac = wanted?.mac { device.append(XMLTree("mac", ["address": mac])) }
                    guard let network = wanted?.network else { return }
                    device.remove("link")
                    device.attributes["type"] = "network"
                    device.append(XMLTree("source", ["network": network]))
                case "serial", "console", "parallel":
                    guard device.attributes["type"] == "file" else { return }
                    device.attributes["type"] = "null"
                    device.remove("source")
                default:
                    return
                }
            }
        }
    }
}
