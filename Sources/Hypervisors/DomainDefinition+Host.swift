extension DomainDefinition {
    /// Memory in MiB, rounded down; 0 when the definition does not say.
    package var memoryMiB: Int {
        guard let element = tree.child("memory"), let count = Int(element.text) else { return 0 }
        let kibibytes: Double =
            switch element.attributes["unit"] ?? "KiB" {
            case "b", "bytes": 1 / 1024
            case "KB": 1000 / 1024
            case "M", "MiB": 1024
            case "MB": 1e6 / 1024
            case "G", "GiB": 1024 * 1024
            case "GB": 1e9 / 1024
            case "T", "TiB": 1024 * 1024 * 1024
            default: 1
            }
        return Int(Double(count) * kibibytes / 1024)
    }

    /// Whether a NIC is of type null, which kills libvirtd 9.0 when the VM is started.
    package var hasNullNIC: Bool {
        tree.child("devices")?.children("interface").contains { $0.attributes["type"] == "null" } ?? false
    }

    /// Names of all networks that NICs are on, whatever their links.
    package var networkNames: [String] { nics.compactMap(\.network) }

    /// Sets the link of every NIC.
    package mutating func setLinks(up: Bool) {
        tree.edit("devices") { devices in
            devices.editChildren { device in
                guard device.name == "interface" else { return }
                device.edit("link") { $0.attributes["state"] = up ? "up" : "down" }
            }
        }
    }

    /// Fills in what a host makes up where a definition leaves it open: the UUID, and a MAC address for each NIC without one.
    package mutating func complete(uuid: () -> String, mac: () -> String) {
        if tree.child("uuid")?.text.isEmpty != false {
            let made = uuid()
            tree.edit("uuid") { $0 = XMLTree("uuid", text: made) }
        }
        tree.edit("devices") { devices in
            devices.editChildren { device in
                guard device.name == "interface", device.child("mac") == nil else { return }
                device.append(XMLTree("mac", ["address": mac()]))
            }
        }
    }
}
