internal import Foundation

extension DomainDefinition {
    /// Puts a disk on these files, the written one first, and names the whole chain.
    ///
    /// The chain ends with an explicit empty `<backingStore/>`: libvirt then opens exactly the named files and reads
    /// no backing file name out of an image. Other driver settings (cache, discard, ...) stay.
    package mutating func setDisk(_ target: String, chain: [Layer]) throws {
        guard let top = chain.first else {
            throw HypervisorError(
                .invalidDefinition, "disk '\(target)' was given no file", hint: "name at least the file to be written")
        }
        for layer in chain {
            guard layer.path.hasPrefix("/") else {
                throw HypervisorError(
                    .invalidDefinition, "disk '\(target)': '\(layer.path)' is not an absolute path",
                    hint: "give the file's path from the root of the host")
            }
            _ = try XMLTree.checked(layer.path, "the path of disk '\(target)'")
            _ = try XMLTree.checked(layer.format, "the format of disk '\(target)'")
        }
        var found = false
        tree.edit("devices") { devices in
            devices.editChildren { disk in
                guard disk.name == "disk", disk.child("target")?.attributes["dev"] == target else { return }
                found = true
                disk.attributes["type"] = "file"
                disk.edit("driver") { driver in
                    driver.attributes["name"] = driver.attributes["name"] ?? "qemu"
                    driver.attributes["type"] = top.format
                }
                for stale in ["source", "backingStore", "mirror"] { disk.remove(stale) }
                disk.append(XMLTree("source", ["file": top.path]))
                disk.append(Self.backingStore(chain.dropFirst()))
            }
        }
        guard found else {
            throw HypervisorError(
                .invalidDefinition, "domain '\(name)' has no disk '\(target)'",
                hint: "its disks are: " + disks.map(\.target).joined(separator: ", "))
        }
    }

    private static func backingStore(_ layers: ArraySlice<Layer>) -> XMLTree {
        guard let layer = layers.first else { return XMLTree("backingStore") }
        return XMLTree(
            "backingStore", ["type": "file"],
            [
                XMLTree("format", ["type": layer.format]), XMLTree("source", ["file": layer.path]),
                backingStore(layers.dropFirst()),
            ])
    }

    /// Connects NICs: by MAC address or, where that is not named, by the network that they are on now.
    ///
    /// A value names the network to connect to; such a NIC's link is up. Without a value the NIC stays in the VM but
    /// is connected to nothing: its type becomes `ethernet`, a tap device that belongs to no bridge, with its link
    /// down. (A NIC left on a network that the host does not have would keep the VM from starting, and QEMU's user
    /// network would let the guest out as soon as somebody set the link up. libvirt's type `null` is refused by its
    /// QEMU driver.) NICs that are not named stay as they are.
    package mutating func setNetworks(_ networks: [String: String?]) throws {
        var byKey: [String: String?] = [:]
        for (key, value) in networks {
            if let value { _ = try XMLTree.checked(value, "the name of a network") }
            byKey[Self.isMAC(key) ? key.lowercased() : key] = .some(value)
        }
        tree.edit("devices") { devices in
            devices.editChildren { nic in
                guard nic.name == "interface" else { return }
                let mac = nic.child("mac")?.attributes["address"]?.lowercased() ?? ""
                let network = nic.attributes["type"] == "network" ? nic.child("source")?.attributes["network"] : nil
                guard let wanted = byKey[mac] ?? network.flatMap({ byKey[$0] }) else { return }
                // What belongs to the former connection: port, port group, profile, name of the tap device.
                for stale in ["source", "virtualport", "link", "target", "script", "vlan"] { nic.remove(stale) }
                if let wanted {
                    nic.attributes["type"] = "network"
                    nic.append(XMLTree("source", ["network": wanted]))
                } else {
                    nic.attributes["type"] = "ethernet"
                    nic.append(XMLTree("link", ["state": "down"]))
                }
            }
        }
    }

    private static func isMAC(_ text: String) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 6 && parts.allSatisfy { $0.count == 2 && $0.allSatisfy(\.isHexDigit) }
    }

    /// Writes the ownership record into the metadata, in place of an earlier one; nil removes it.
    package mutating func setOwnership(_ ownership: Ownership?) throws {
        if let ownership {
            _ = try XMLTree.checked(ownership.relationship, "the relationship's id")
            _ = try XMLTree.checked(ownership.owner, "the owner's id")
        }
        tree.edit("metadata") { metadata in
            metadata.remove { Ownership.matches($0) }
            if let ownership { metadata.append(ownership.element(prefixed: true)) }
        }
        if tree.child("metadata")?.nodes.isEmpty == true { tree.remove("metadata") }
    }

    /// Removes what is true of one run or one host only, so that the definition can be used at another.
    ///
    /// Device addresses stay: the guest must find its devices where they were. Paths (disks, NVRAM, serial log) stay
    /// as well; whoever moves the VM sets them.
    package mutating func removeHostState() {
        tree.attributes["id"] = nil
        tree.remove("seclabel")
        tree.edit("devices") { $0.editChildren(Self.removeHostState(from:)) }
    }

    private static func removeHostState(from device: inout XMLTree) {
        // Aliases that begin with ua- are the user's own.
        device.remove { $0.name == "alias" && $0.attributes["name"]?.hasPrefix("ua-") != true }
        device.remove { $0.name == "source" && $0.attributes["path"]?.hasPrefix("/dev/pts/") == true }
        // libvirt makes up this path from the run's id.
        device.remove { $0.name == "source" && $0.attributes["path"]?.contains("/target/domain-") == true }
        device.remove("mirror")
        device.attributes["tty"] = nil
        if device.name == "interface" {
            let runtime = ["vnet", "macvtap", "macvlan"]
            device.remove { element in
                element.name == "target" && runtime.contains { element.attributes["dev"]?.hasPrefix($0) == true }
            }
        }
        if device.name == "graphics", device.attributes["autoport"] == "yes" { device.attributes["port"] = "-1" }
        removeRuntimeSource(from: &device)
    }

    private static func removeRuntimeSource(from element: inout XMLTree) {
        element.editChildren { child in
            guard child.name == "source" || child.name == "backingStore" else { return }
            child.attributes["index"] = nil
            child.attributes["portid"] = nil
            if child.attributes["network"] != nil { child.attributes["bridge"] = nil }
            child.remove("seclabel")
            if child.name == "backingStore" { removeRuntimeSource(from: &child) }
        }
    }
}

extension Ownership {
    /// Namespace of the record in a domain's metadata.
    ///
    /// A host's `qemu` hook reads it from there.
    package static let metadataNamespace = "https://perilune.dev/ownership/1"
    static let metadataPrefix = "perilune"

    /// The record as an element; with `prefixed` as it stands in a domain, else as libvirt's call takes it.
    func element(prefixed: Bool) -> XMLTree {
        var attributes = ["relationship": relationship, "owner": owner, "epoch": String(epoch)]
        guard prefixed else { return XMLTree("ownership", attributes) }
        attributes["xmlns:\(Self.metadataPrefix)"] = Self.metadataNamespace
        return XMLTree("\(Self.metadataPrefix):ownership", attributes)
    }

    init?(element: XMLTree) {
        let local = element.name.split(separator: ":").last
        guard local == "ownership", let relationship = element.attributes["relationship"],
            let owner = element.attributes["owner"], let epoch = element.attributes["epoch"].flatMap({ Int($0) })
        else { return nil }
        self.init(relationship: relationship, owner: owner, epoch: epoch)
    }

    /// Whether an element of the metadata is in this record's namespace, whatever its prefix.
    static func matches(_ element: XMLTree) -> Bool {
        let parts = element.name.split(separator: ":", maxSplits: 1)
        let declaration = parts.count == 2 ? "xmlns:\(parts[0])" : "xmlns"
        return element.attributes[declaration] == metadataNamespace
    }
}
