internal import CLibvirt

extension LibvirtHypervisor {
    /// Stores the definition; one of the same UUID is replaced, its checkpoints stay.
    ///
    /// A saved memory image of the old definition is discarded: at the next start it would be laid over other disks.
    package func define(xml: String) async throws {
        let definition = try DomainDefinition(xml: xml)
        // libvirtd 9.0 itself dies when a VM with such a NIC is started.
        let devices = definition.tree.child("devices")
        guard devices?.children("interface").contains(where: { $0.attributes["type"] == "null" }) != true else {
            throw HypervisorError(
                .invalidDefinition, "VM '\(definition.name)' has a NIC of type null, which libvirt's QEMU cannot start",
                hint: "connect the NIC, or leave it unconnected with type ethernet")
        }
        try await call { connection in
            guard let domain = virDomainDefineXMLFlags(connection, xml, 0) else {
                throw LibvirtLibrary.error("define VM '\(definition.name)'")
            }
            defer { virDomainFree(domain) }
            if virDomainHasManagedSaveImage(domain, 0) == 1 {
                try LibvirtLibrary.check(
                    virDomainManagedSaveRemove(domain, 0), "discard the saved memory of VM '\(definition.name)'")
            }
        }
    }

    /// A running VM goes on without a stored definition, and is forgotten when it ends.
    ///
    /// Bitmaps stay in the disks.
    package func undefine(uuid: String) async throws {
        try await call { connection in
            guard let domain = try Self.find(uuid, connection) else { return }
            defer { virDomainFree(domain) }
            guard try Self.isPersistent(domain) else { return }
            let flags =
                VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA.rawValue | VIR_DOMAIN_UNDEFINE_NVRAM.rawValue
                | VIR_DOMAIN_UNDEFINE_MANAGED_SAVE.rawValue
            if virDomainUndefineFlags(domain, flags) >= 0 { return }
            let error = LibvirtLibrary.error("undefine VM \(uuid)")
            // Drivers without checkpoints do not know the flag.
            guard error.code == .unsupported || LibvirtLibrary.isNumber(error, VIR_ERR_INVALID_ARG) else {
                throw error
            }
            try LibvirtLibrary.check(
                virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE.rawValue), "undefine VM \(uuid)")
        }
    }

    package func setAutostart(uuid: String, _ on: Bool) async throws {
        try await onDomain(uuid) { domain in
            var now: Int32 = 0
            if virDomainGetAutostart(domain, &now) == 0, (now != 0) == on { return }
            try LibvirtLibrary.check(
                virDomainSetAutostart(domain, on ? 1 : 0), "turn autostart of VM \(uuid) \(on ? "on" : "off")")
        }
    }

    package func setOwnership(uuid: String, _ ownership: Ownership) async throws {
        _ = try XMLTree.checked(ownership.relationship + ownership.owner, "the ownership record")
        let element = ownership.element(prefixed: false).serialised()
        try await onDomain(uuid) { domain in
            try LibvirtLibrary.check(
                virDomainSetMetadata(
                    domain, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), element, Ownership.metadataPrefix,
                    Ownership.metadataNamespace, try Self.affected(domain)),
                "record the owner of VM \(uuid)")
        }
    }

    package func removeOwnership(uuid: String) async throws {
        guard try await ownership(uuid: uuid) != nil else { return }
        try await onDomain(uuid) { domain in
            try LibvirtLibrary.check(
                virDomainSetMetadata(
                    domain, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), nil, nil, Ownership.metadataNamespace,
                    try Self.affected(domain)),
                "remove the ownership record of VM \(uuid)")
        }
    }

    package func ownership(uuid: String) async throws -> Ownership? {
        try await onDomain(uuid) { domain in
            let which = try Self.isPersistent(domain) ? VIR_DOMAIN_AFFECT_CONFIG : VIR_DOMAIN_AFFECT_LIVE
            guard
                let text = virDomainGetMetadata(
                    domain, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), Ownership.metadataNamespace, which.rawValue)
            else {
                let error = LibvirtLibrary.error("read the owner of VM \(uuid)")
                if LibvirtLibrary.isNumber(error, VIR_ERR_NO_DOMAIN_METADATA) { return nil }
                throw error
            }
            let element = try XMLTree(parsing: LibvirtLibrary.take(text, "read the owner of VM \(uuid)"))
            guard let ownership = Ownership(element: element) else {
                throw HypervisorError(
                    .invalidDefinition, "the ownership record of VM \(uuid) cannot be read",
                    hint: "look at the domain's metadata: it was edited by hand or written by another version")
            }
            return ownership
        }
    }
}
