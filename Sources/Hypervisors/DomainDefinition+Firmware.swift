/// What a VM keeps outside its disks: UEFI variables and the state of an emulated TPM.
extension DomainDefinition {
    /// The file with the VM's UEFI variables; nil for a VM without, or while libvirt has not chosen one yet.
    package var nvramPath: String? {
        guard let nvram = tree.child("os")?.child("nvram") else { return nil }
        if let path = nvram.child("source")?.attributes["file"] { return path }
        let text = nvram.text.trimmingWhitespace
        return text.isEmpty ? nil : text
    }

    /// Whether the VM has a TPM whose state libvirt keeps at the host.
    package var hasEmulatedTPM: Bool {
        tree.child("devices")?.child("tpm")?.child("backend")?.attributes["type"] == "emulator"
    }

    /// Why the VM's firmware state cannot go with its points, as the rest of a sentence about it, and the way out.
    package var firmwareObstacle: (what: String, way: String)? {
        if let tpm = tree.child("devices")?.child("tpm") {
            let backend = tpm.child("backend")
            let type = backend?.attributes["type"] ?? "passthrough"
            if type != "emulator" {
                return (
                    "has a TPM of type \(type), which is its host's",
                    "give it an emulated one (<backend type='emulator' version='2.0'/>), or none"
                )
            }
            if backend?.child("encryption") != nil {
                return (
                    "has a TPM whose state is encrypted with a secret of its host",
                    "the secret does not travel: take <encryption> out of the TPM's definition"
                )
            }
        }
        if let type = tree.child("os")?.child("nvram")?.attributes["type"], type != "file" {
            return ("has its UEFI variables on a \(type) device", "keep them in a file")
        }
        return nil
    }

    /// Names the file with the VM's UEFI variables; nil lets libvirt choose one, and make it from its template.
    package mutating func setNVRAM(_ path: String?) throws {
        if let path { _ = try XMLTree.checked(path, "the path of the UEFI variables") }
        tree.edit("os") { os in
            let old = os.child("nvram")
            guard old != nil || path != nil else { return }
            var kept: [String: String] = [:]
            for name in ["template", "templateFormat", "format"] { kept[name] = old?.attributes[name] }
            os.remove("nvram")
            guard path != nil || !kept.isEmpty else { return }
            var element = path.map { XMLTree("nvram", text: $0) } ?? XMLTree("nvram")
            element.attributes = kept
            os.append(element)
        }
    }
}

extension String {
    fileprivate var trimmingWhitespace: String {
        let inner = drop(while: \.isWhitespace)
        guard let last = inner.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(inner[...last])
    }
}
