package import BlockReplication
import Hypervisors

/// Decides whether a host may start a VM: what libvirt's `qemu` hook asks before every start.
///
/// It reads the domain's definition and the host's own ownership records, and nothing else: it works with the agent down and
/// the vault lost, and never asks libvirt, which waits for it.
///
/// A VM that was never protected starts, and so does a test VM, which carries no record. A protected one starts at its owner
/// alone, at the epoch of the record, and only when somebody who knows has confirmed the record since the host's last boot:
/// a host that was away cannot know what became of its VMs meanwhile.
package struct StartGuard: Sendable {
    private let records: OwnershipRecords

    package init(records: OwnershipRecords) {
        self.records = records
    }

    /// Why the VM may not be started here; nil when it may.
    package func refusal(domainXML: String) -> String? {
        do {
            let definition = try DomainDefinition(xml: domainXML)
            return try refusal(of: definition, mentionsRecord: domainXML.contains(Ownership.metadataNamespace))
        } catch let error as HypervisorError {
            guard domainXML.contains(Ownership.metadataNamespace) else { return nil }
            return "its definition cannot be read: \(error.message)"
        } catch let error as ReplicationError {
            return "\(error.message); \(error.hint)"
        } catch {
            return "the host's ownership records cannot be read: \(error)"
        }
    }

    private func refusal(of definition: DomainDefinition, mentionsRecord: Bool) throws -> String? {
        let mark = definition.ownership
        guard mark != nil || !mentionsRecord else {
            return "the ownership record in its definition cannot be read; look at its metadata (virsh dumpxml)"
        }
        guard let record = try record(for: mark, uuid: definition.uuid) else {
            guard let mark else { return nil }
            return "it is protected (relationship \(mark.relationship)) and this host has no record of who owns it; "
                + "run perilune replicate where the vault is, or remove the metadata if the VM is protected no more"
        }
        return refusal(of: record, mark: mark, uuid: definition.uuid)
    }

    /// A definition that lost its metadata is still found by the VM's UUID.
    private func record(for mark: Ownership?, uuid: String?) throws -> OwnershipRecord? {
        if let mark { return try records.read(mark.relationship) }
        guard let uuid else { return nil }
        return try records.record(ofVM: uuid)
    }

    private func refusal(of record: OwnershipRecord, mark: Ownership?, uuid: String?) -> String? {
        if let uuid, uuid.lowercased() != record.vmUUID.lowercased() {
            return "it carries the ownership record of another VM (\(record.vmUUID)); "
                + "if it is a copy with disks of its own, remove the record from its metadata"
        }
        guard let host = record.host else {
            return "this host's ownership record is of an older version; run perilune replicate where the vault is"
        }
        guard record.owner == host else {
            return "another host has owned it since epoch \(record.epoch), and one copy alone may be written; "
                + "see perilune status where the vault is"
        }
        if let mark, mark.epoch != record.epoch || mark.owner != record.owner {
            return "its definition is of epoch \(mark.epoch), and the present epoch is \(record.epoch): "
                + "the disks that it names may be old; see perilune status where the vault is"
        }
        guard records.isConfirmed(record) else {
            return
                "nobody has confirmed since this host's last boot that it still owns the VM (epoch \(record.epoch)); "
                + "perilune replicate does so where the vault is, and perilune agent start-owned --alone overrides"
        }
        return nil
    }
}
