// What the engine and the agents tell each other besides points: status, ownership, images, probes.

package import SiteModel

package struct AgentStatus: Codable, Hashable, Sendable {
    package var site: String
    package var version: String
    package var processID: Int32
    package var store: String
    package var freeBytes: UInt64

    package init(site: String, version: String, processID: Int32, store: String, freeBytes: UInt64) {
        self.site = site
        self.version = version
        self.processID = processID
        self.store = store
        self.freeBytes = freeBytes
    }
}

/// The agent's own record of who may write a VM's disks.
package struct OwnershipRecord: Codable, Hashable, Sendable {
    package var relationship: String
    package var vmUUID: String
    package var owner: String
    package var epoch: Int
    /// The host that this record lies at, so that the host alone can tell whether it is the owner.
    ///
    /// Nil in a record that an older version wrote.
    package var host: String?
    /// What this host did without the vault's word, until the vault has taken it over.
    package var claim: HostClaim?
    /// When the VM was started here on the operator's word alone, the vault not having confirmed the epoch.
    package var startedAlone: Timestamp?
    /// What made this ownership, in the vault's words; nil in the host's own, and in one that an older version wrote.
    package var origin: OwnershipOrigin?
    /// The vault whose word it is; nil when it is the host's own, or the vault has never had another place.
    package var vault: VaultStanding?

    package init(
        relationship: String, vmUUID: String, owner: String, epoch: Int, host: String? = nil, claim: HostClaim? = nil
    ) {
        self.relationship = relationship
        self.vmUUID = vmUUID
        self.owner = owner
        self.epoch = epoch
        self.host = host
        self.claim = claim
    }
}

/// How a vault came to record an ownership: enough for a copy of that vault which missed it.
package struct OwnershipOrigin: Codable, Hashable, Sendable {
    /// The direction of replication, by host.
    package var source: String
    package var target: String
    /// The failover that stands; nil when none does, be it that one was undone.
    package var failover: FailoverRecord?
    /// The checkpoint at the owner since which all changes are known, once it is set.
    package var checkpoint: String?
    /// What an undo has left at the target.
    package var leftCopy: LeftCopy?

    package init(
        source: String, target: String, failover: FailoverRecord?, checkpoint: String?, leftCopy: LeftCopy? = nil
    ) {
        self.source = source
        self.target = target
        self.failover = failover
        self.checkpoint = checkpoint
        self.leftCopy = leftCopy
    }
}

/// A failover that a host made with no vault: what a later vault needs to take it over.
package struct HostClaim: Codable, Hashable, Sendable {
    /// The point that the VM was started from.
    package var generation: String
    package var number: Int
    package var verdict: SourceVerdict
    package var at: Timestamp
    /// The checkpoint since which the VM's changes are known here; nil until it is set, and once it is lost.
    package var checkpoint: String?
    /// Set before the VM is let run: from then on a checkpoint that is set anew would miss what it has written.
    package var mayHaveRun: Bool?

    package init(generation: String, number: Int, verdict: SourceVerdict, at: Timestamp, checkpoint: String? = nil) {
        self.generation = generation
        self.number = number
        self.verdict = verdict
        self.at = at
        self.checkpoint = checkpoint
    }
}

/// One record of a host, and whether it counts there now; or what keeps it from being read.
package struct OwnershipStanding: Codable, Hashable, Sendable {
    /// Nil when it cannot be read.
    package var record: OwnershipRecord?
    /// Whether somebody who knows has said since the host's last boot that the record still holds.
    package var isConfirmed: Bool
    /// Why there is no record; nil when there is one.
    package var fault: UnreadableRecord?

    package init(record: OwnershipRecord, isConfirmed: Bool) {
        self.record = record
        self.isConfirmed = isConfirmed
    }

    package init(fault: UnreadableRecord) {
        self.isConfirmed = false
        self.fault = fault
    }

    /// The relationship that the record is of, readable or not.
    package var relationship: String? { record?.relationship ?? fault?.relationship }
}

/// A host's record that is there and cannot be read: nothing may be concluded from it.
package struct UnreadableRecord: Codable, Hashable, Sendable {
    package var relationship: String
    package var message: String
    package var hint: String

    package init(relationship: String, message: String, hint: String) {
        self.relationship = relationship
        self.message = message
        self.hint = hint
    }
}

package struct VMIdentity: Codable, Hashable, Sendable {
    package var name: String
    package var uuid: String

    package init(name: String, uuid: String) {
        self.name = name
        self.uuid = uuid
    }
}

/// Bytes `offset ..< offset + length` of a disk.
package struct ByteRange: Codable, Hashable, Sendable {
    package var offset: UInt64
    package var length: UInt64

    package init(offset: UInt64, length: UInt64) {
        self.offset = offset
        self.length = length
    }
}

/// The file that a failed-over VM writes, with the chain under it.
package struct BootImage: Codable, Hashable, Sendable {
    package var target: String
    /// Newest first; the first is the file that the VM writes.
    package var chain: [DiskImage]
    /// Bytes, as the VM sees it; nil from an agent that is older than changes of shape.
    package var size: UInt64?

    package init(target: String, chain: [DiskImage], size: UInt64? = nil) {
        self.size = size
        self.target = target
        self.chain = chain
    }
}

/// What a guest is to be told when it boots: files of a CD image.
package struct GuestSeed: Codable, Hashable, Sendable {
    package var relationship: String
    /// Epoch of the boot images that it goes with; 0 for a test's.
    package var epoch: Int
    /// Texts by name; names of small letters, digits and `-`.
    package var files: [String: String]

    package init(relationship: String, epoch: Int, files: [String: String]) {
        self.relationship = relationship
        self.epoch = epoch
        self.files = files
    }
}

package struct AdoptedDisk: Codable, Hashable, Sendable {
    package var target: String
    package var size: UInt64
    package var image: DiskImage

    package init(target: String, size: UInt64, image: DiskImage) {
        self.target = target
        self.size = size
        self.image = image
    }
}

/// A plain HTTP GET that the agent makes from its site.
package struct HTTPProbe: Codable, Hashable, Sendable {
    package var host: String
    package var port: UInt16
    package var path: String
    package var timeoutSeconds: Double

    package init(host: String, port: UInt16, path: String, timeoutSeconds: Double) {
        self.host = host
        self.port = port
        self.path = path
        self.timeoutSeconds = timeoutSeconds
    }
}

package struct HTTPProbeResult: Codable, Hashable, Sendable {
    package var status: Int
    /// At most 64 KiB.
    package var body: String

    package init(status: Int, body: String) {
        self.status = status
        self.body = body
    }
}
