internal import CLibvirt

// libvirt sums up a checkpoint's maps when asked for its size: no disk is read for it.
extension LibvirtHypervisor {
    /// Only the newest checkpoint of a running VM has maps that grow; nil for any other.
    package func changedBytes(uuid: String, since checkpoint: String) async throws -> UInt64? {
        try await onDomain(uuid) { domain in
            guard try Self.isActive(domain) else { return nil }
            let doing = "ask for the size of checkpoint '\(checkpoint)'"
            guard let found = virDomainCheckpointLookupByName(domain, checkpoint, 0) else { return nil }
            defer { virDomainCheckpointFree(found) }
            let text = try LibvirtLibrary.take(
                virDomainCheckpointGetXMLDesc(found, VIR_DOMAIN_CHECKPOINT_XML_SIZE.rawValue), doing)
            return try Self.totalSize(checkpointXML: text)
        }
    }

    /// The sizes of all disks that the checkpoint covers; nil when one that it covers has none.
    static func totalSize(checkpointXML text: String) throws -> UInt64? {
        let disks = try XMLTree(parsing: text).children("disks").flatMap { $0.children("disk") }
        var total: UInt64 = 0
        for disk in disks where disk.attributes["checkpoint"] != "no" {
            guard let size = disk.attributes["size"].flatMap({ UInt64($0) }) else { return nil }
            total += size
        }
        return disks.isEmpty ? nil : total
    }
}
