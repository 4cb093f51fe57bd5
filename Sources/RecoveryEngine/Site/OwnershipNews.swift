import BlockReplication
import SiteModel

extension Relationship {
    /// What a host is told of the VM's ownership, with how it came about.
    func ownershipRecord(at host: String) -> OwnershipRecord {
        var record = OwnershipRecord(relationship: id, vmUUID: vmUUID, owner: owner, epoch: epoch, host: host)
        // Until the VM has been started, the checkpoint in the vault is still the former owner's.
        let tracked = owner == target && failover != nil ? CheckpointName.of(generation: "boot-\(epoch)") : checkpoint
        record.origin = OwnershipOrigin(
            source: source, target: target, failover: failover, checkpoint: tracked, leftCopy: leftCopy)
        return record
    }
}

/// What a host's record tells a vault that is one ownership behind it.
struct OwnershipNews {
    enum Kind: Equatable {
        /// The host failed the VM over by itself.
        case hostFailover
        /// A later state of this vault, which this copy of it missed, failed the VM over, or back.
        case failover
        case undo
    }

    var kind: Kind
    var record: OwnershipRecord
    /// The failover that stands now.
    var failover: FailoverRecord?
    var checkpoint: String?

    /// Nil when the record does not say how it came about, is not the very next ownership, or is of another direction: then the
    /// vault is behind by more than can be made up for.
    ///
    /// A host's own claim counts whatever its number is: the host has counted on from what its store knew.
    init?(_ record: OwnershipRecord, over relationship: Relationship) {
        self.record = record
        if let claim = record.claim {
            guard record.owner == relationship.target else { return nil }
            kind = .hostFailover
            failover = FailoverRecord(
                planned: false, generation: claim.generation, sourceVerdict: claim.verdict, at: claim.at,
                sourceCheckpoint: relationship.failover?.sourceCheckpoint ?? relationship.checkpoint)
            checkpoint = claim.checkpoint
            return
        }
        guard let origin = record.origin, record.epoch == relationship.epoch + 1,
            origin.source == relationship.source, origin.target == relationship.target
        else { return nil }
        checkpoint = origin.checkpoint
        if let made = origin.failover, record.owner == relationship.target {
            (kind, failover) = (.failover, made)
        } else if origin.failover == nil, record.owner == relationship.source, relationship.failover != nil {
            kind = .undo
        } else {
            return nil
        }
    }

    /// Takes it in; `images` are what the VM runs from at its new owner, empty for an undo.
    func take(into relationship: inout Relationship, images: [BootImage]) {
        relationship.owner = record.owner
        relationship.epoch = record.epoch
        relationship.state = failover == nil ? .protected : .failedOver
        relationship.failover = failover
        relationship.checkpoint = checkpoint
        relationship.ranAtOwner = true
        (relationship.formerCopy, relationship.leftCopy) = (nil, failover == nil ? record.origin?.leftCopy : nil)
        for image in images {
            guard let top = image.chain.first,
                let index = relationship.disks.firstIndex(where: { $0.target == image.target })
            else { continue }
            relationship.disks[index].images[record.owner] = top
        }
    }

    /// What is told of it.
    func words(vm: String, host: String, point: Int?) -> String {
        let verdict = failover.map { ", the source being \($0.sourceVerdict.rawValue) down" } ?? ""
        let at = point.map { ", to point \($0)" } ?? ""
        return switch kind {
        case .hostFailover: "\(host) had failed \(vm) over with no vault\(at)\(verdict); the vault has taken that over"
        case .failover:
            "\(vm) had been failed over to \(host)\(at)\(verdict), which this copy of the vault had missed; "
                + "it has learned that from \(host)"
        case .undo:
            "the failover of \(vm) had been undone, which this copy of the vault had missed; "
                + "it has learned that from \(host)"
        }
    }
}
