/// The drive that holds what a guest is told about its addresses.
extension DomainDefinition {
    /// Marks the drive as ours: libvirt keeps aliases that begin with `ua-`.
    private static let seedAlias = "ua-perilune-seed"

    /// Puts a CD drive with this image into the VM, in place of an earlier one of ours.
    ///
    /// A CD drive, because it has a bus of its own: a further disk on the disks' bus could take the name of one of them
    /// in the guest.
    package mutating func setSeed(path: String) throws {
        guard path.hasPrefix("/") else {
            throw HypervisorError(
                .invalidDefinition, "'\(path)' is not an absolute path", hint: "give the file's path from the root")
        }
        _ = try XMLTree.checked(path, "the path of the address data")
        removeSeed()
        let bus = seedBus
        let prefix = bus == "ide" ? "hd" : "sd"
        let taken = Set(
            (tree.child("devices")?.children("disk") ?? []).compactMap {
                $0.child("target")?.attributes["dev"]
            })
        // From the end of the row, so that the places of the guest's own drives stay theirs; IDE has four.
        let letters = bus == "ide" ? "dcba" : "zyxwvutsrqponmlkjihgfedcba"
        guard let target = letters.map({ prefix + String($0) }).first(where: { !taken.contains($0) }) else {
            throw HypervisorError(
                .invalidDefinition, "the VM has no room for another \(bus) drive",
                hint: "free one, or set the guest's addresses by other means")
        }
        let drive = XMLTree(
            "disk", ["type": "file", "device": "cdrom"],
            [
                XMLTree("driver", ["name": "qemu", "type": "raw"]), XMLTree("source", ["file": path]),
                XMLTree("target", ["dev": target, "bus": bus]), XMLTree("readonly"),
                XMLTree("alias", ["name": Self.seedAlias]),
            ])
        tree.edit("devices") { $0.append(drive) }
    }

    /// Takes the drive out; nothing happens when the VM has none of ours.
    package mutating func removeSeed() {
        tree.edit("devices") { $0.remove(where: Self.isSeed) }
    }

    /// The image in the drive; nil when the VM has none of ours.
    package var seed: String? {
        (tree.child("devices")?.children ?? []).first(where: Self.isSeed)?.child("source")?.attributes["file"]
    }

    private static func isSeed(_ device: XMLTree) -> Bool {
        device.name == "disk" && device.child("alias")?.attributes["name"] == seedAlias
    }

    /// The bus that the VM's machine always has for a CD drive.
    private var seedBus: String {
        let type = tree.child("os")?.child("type")?.attributes
        if type?["arch"] == "x86_64" || type?["arch"] == "i686" || type?["arch"] == nil {
            return type?["machine"]?.contains("q35") == true ? "sata" : "ide"
        }
        return "scsi"
    }
}
