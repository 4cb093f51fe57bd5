/// A domain's XML, with the few changes that recovery makes to it.
///
/// Pure: text in, text out.
///
/// Follows libvirt's formatdomain. What is not understood is kept as it is. The XML is taken as data from outside:
/// at most 1 MiB, without document type, every value escaped when it is written.
package struct DomainDefinition: Hashable, Sendable {
    var tree: XMLTree

    /// Refused (`invalidDefinition`) when the text is not a domain with a name.
    package init(xml: String) throws {
        tree = try XMLTree(parsing: xml)
        guard tree.name == "domain" else {
            throw HypervisorError(
                .invalidDefinition, "the XML describes a '\(tree.name)', not a domain",
                hint: "give the output of virsh dumpxml --inactive")
        }
        guard !name.isEmpty else {
            throw HypervisorError(
                .invalidDefinition, "the domain's XML has no name", hint: "add a <name> element to the definition")
        }
    }

    /// The definition as libvirt understands it.
    package var xml: String { tree.serialised() }

    package var name: String { tree.child("name")?.text ?? "" }

    /// As written in the XML; nil in a definition that leaves it to libvirt.
    package var uuid: String? { tree.child("uuid")?.text }

    /// One layer of a disk's chain, newest first.
    package struct Layer: Hashable, Sendable {
        package var path: String
        /// "qcow2" or "raw".
        package var format: String

        package init(path: String, format: String) {
            self.path = path
            self.format = format
        }
    }

    /// A disk device of the definition.
    package struct Disk: Hashable, Sendable {
        /// "vda", "sda", ...: the name that checkpoints and backups know it by.
        package var target: String
        /// "disk", "cdrom", "floppy" or "lun".
        package var device: String
        /// "file", "block", "network", ...
        package var source: String
        package var isReadOnly: Bool
        package var isShareable: Bool
        /// The files that the definition names, the written one first; empty for a disk without a file.
        package var chain: [Layer]

        /// Path of the file that the guest writes; nil when the disk is no file or its drive is empty.
        package var path: String? { chain.first?.path }
        package var format: String

        /// Whether the guest can write to it and it is a file, so that it can be replicated.
        package var isWritableFile: Bool { device == "disk" && !isReadOnly && path != nil }
    }

    package var disks: [Disk] {
        (tree.child("devices")?.children("disk") ?? []).compactMap { element in
            guard let target = element.child("target")?.attributes["dev"] else { return nil }
            let device = element.attributes["device"] ?? "disk"
            let format = element.child("driver")?.attributes["type"] ?? "raw"
            return Disk(
                target: target, device: device, source: element.attributes["type"] ?? "file",
                isReadOnly: device == "cdrom" || element.child("readonly") != nil,
                isShareable: element.child("shareable") != nil,
                chain: Self.layers(of: element, format: format), format: format)
        }
    }

    private static func layers(of disk: XMLTree, format: String) -> [Layer] {
        var layers: [Layer] = []
        var element: XMLTree? = disk
        var format = format
        while let here = element, let path = here.child("source")?.attributes["file"] {
            layers.append(Layer(path: path, format: format))
            element = here.child("backingStore")
            format = element?.child("format")?.attributes["type"] ?? "raw"
        }
        return layers
    }

    package var nics: [DomainNIC] {
        (tree.child("devices")?.children("interface") ?? []).map { element in
            DomainNIC(
                mac: element.child("mac")?.attributes["address"] ?? "",
                // Of a running VM libvirt gives the type that the network led to, such as "bridge", beside its name.
                network: element.child("source")?.attributes["network"],
                linkIsUp: element.child("link")?.attributes["state"] != "down")
        }
    }

    /// What the VM keeps outside its disks: UEFI variables, a TPM's state.
    package var firmwareState: [String] {
        let os = tree.child("os")
        let hasVariables =
            os?.child("nvram") != nil || os?.attributes["firmware"] == "efi"
            || os?.child("loader")?.attributes["type"] == "pflash"
        let hasTPM = tree.child("devices")?.child("tpm") != nil
        return [hasVariables ? "UEFI variables" : nil, hasTPM ? "a TPM" : nil].compactMap { $0 }
    }

    /// The ownership record in the definition's metadata; nil without one, or when it cannot be read.
    package var ownership: Ownership? {
        tree.child("metadata")?.children.lazy.filter(Ownership.matches).compactMap(Ownership.init(element:)).first
    }
}
