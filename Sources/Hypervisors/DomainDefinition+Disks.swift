extension DomainDefinition {
    /// Removes disks with all that hangs on them; names that it does not have are passed over.
    package mutating func removeDisks(_ targets: [String]) {
        guard !targets.isEmpty else { return }
        tree.edit("devices") { devices in devices.remove { Self.isDisk($0, of: targets) } }
    }

    /// Leaves a drive without its medium.
    package mutating func ejectMedium(_ target: String) {
        tree.edit("devices") { devices in
            devices.editChildren { disk in
                guard Self.isDisk(disk, of: [target]) else { return }
                for part in ["source", "backingStore"] { disk.remove(part) }
                disk.attributes["type"] = "file"
            }
        }
    }

    /// Takes disks over from another definition of the same VM, with their addresses, where this one has none of the name.
    package mutating func adoptDisks(_ targets: [String], from other: DomainDefinition) {
        let present = disks.map(\.target)
        let wanted = targets.filter { !present.contains($0) }
        let found = other.tree.child("devices")?.children.filter { Self.isDisk($0, of: wanted) } ?? []
        guard !found.isEmpty else { return }
        tree.edit("devices") { devices in for disk in found { devices.append(disk) } }
    }

    private static func isDisk(_ element: XMLTree, of targets: [String]) -> Bool {
        element.name == "disk" && element.child("target")?.attributes["dev"].map(targets.contains) ?? false
    }
}
