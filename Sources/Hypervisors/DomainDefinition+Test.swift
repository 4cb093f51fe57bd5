extension DomainDefinition {
    /// Turns the definition into that of a test VM, which can run beside the VM itself and meet nothing of it.
    ///
    /// It has its own name, UUID and MAC addresses, no ownership record, and writes no log file of the VM's. All its NICs
    /// are on `network`, which must be isolated from production, or connected to nothing.
    package mutating func becomeTest(name: String, uuid: String, network: String?) throws {
        _ = try XMLTree.checked(name, "the test VM's name")
        _ = try XMLTree.checked(uuid, "the test VM's UUID")
        let nics = Set(nics.flatMap { [$0.mac] + [$0.network].compactMap { $0 } })
        try setNetworks(Dictionary(uniqueKeysWithValues: nics.map { ($0, network) }))
        try setOwnership(nil)
        removeHostState()
        tree.edit("name") { $0 = XMLTree("name", text: name) }
        tree.edit("uuid") { $0 = XMLTree("uuid", text: uuid) }
        tree.edit("devices") { devices in
            devices.editChildren { device in
                switch device.name {
                case "interface":
                    // libvirt makes up a fresh address where none is given.
                    device.remove("mac")
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
