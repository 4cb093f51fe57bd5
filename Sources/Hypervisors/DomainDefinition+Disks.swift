extension DomainDefinition {
    /// Removes disks with all that hangs on them; names that it does not have are passed over.
    package mutating func removeDisks(_ targets: [String]) {
        guard !targets.isEmpty else { return }
        tree.edit("devices") { devices in devices.remove { Self.isDisk($0, of: targets) } }
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
