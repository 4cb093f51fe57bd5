/// Replication of one VM from one host to another: direction, ownership, state.
///
/// The hosts' own layer, below the vault.  A management server's VM has a relationship and nothing else; a protected
/// item is a relationship with a cloud.
package struct Relationship: SiteObject {
    package static let kind = "relationship"
    package var id: String
    package var parent: String? { nil }
    /// Name of the VM; its libvirt UUID is the same at both hosts.
    package var name: String
    package var vmUUID: String
    /// Host where the VM ran when replication was first enabled ("primary").
    package var home: String
    /// The host that is replicated from, and the one that is replicated to, in the present direction.
    package var source: String
    package var target: String
    /// The one host whose copy may be written, and the number of the ownership, raised by every failover.
    package var owner: String
    package var epoch: Int
    package var state: ReplicationState
    package var policy: String
    package var disks: [ReplicatedDisk]
    /// Network at the target for each source network, when no cloud's mapping applies.
    package var networks: [String: String]
    /// Id of the protected item that owns this relationship; nil for a management server's VM.
    package var item: String?
    /// Id of the job that has this VM; no other operation may begin until it ends.
    package var activeJob: String?
    /// What a failover that is not yet committed has chosen and replaced; nil otherwise.
    package var failover: FailoverRecord?
    /// Generation of the newest point whole at the target; nil before the first copy.
    package var newestGeneration: String?
    /// Checkpoint at the source since which all changes are known; covers at least what is newer than
    /// `newestGeneration`.
    package var checkpoint: String?
    /// The test VM at the target, while there is one.
    package var test: TestRecord?
    /// Number of the newest point ever made, so that numbers are never used twice.
    package var lastPointNumber: Int
    /// The last failure, shown until the next success.
    package var lastError: String?
    /// The VM was to start with its host when it was protected; its host starts it so again once protection ends.
    package var autostart: Bool?
    /// Whether the VM ran at its owner when the owner was last looked at; nil when nobody has looked.
    package var ranAtOwner: Bool?
    /// The epoch at which the owner's host came back and the VM is to be started there, until it has been; nil otherwise.
    ///
    /// Set before the host's record is confirmed: after that nothing else would tell that the host had been away.
    package var startOwedAt: Int?
    /// How the former owner's copy was found when its host came back after a failover; nil while it has not.
    package var formerCopy: FormerCopy?
    /// The host of a copy that was only declared lost, when protection ended with nobody having seen it since; nil
    /// otherwise, and as soon as it was found off or has been suspended.
    package var unseenCopy: String?
    /// The owner's host, where it did not answer when protection ended: it has its record still, and until it is told, libvirt's
    /// hook there lets nobody start the VM.
    package var untoldOwner: String?
    /// What an undo has taken the ownership from and has not thrown away yet; nil when nothing is left at the target.
    package var leftCopy: LeftCopy?
    /// Writable disks of the VM that were left out: they do not exist at the target in any form.
    package var excludedDisks: [String]?
    /// Writable disks of the VM that are in no point yet, or cannot be, each with the reason; nil when there is none.
    package var unreplicated: [String: String]?
    /// How the first copy is made, until it is whole.
    package var firstCopy: FirstCopyRecord?
    /// How far a first copy has come that is not whole yet; nil when the target keeps nothing of one.
    package var growing: FirstCopyProgress?
    /// Protection ended and the points stayed at the target; they go when the VM is protected again.
    package var keptReplica: Bool?
    /// The VM's NICs as its last failover away from home left them; nil before the first.
    package var nics: [ReplicatedNIC]?
    /// When the VM last ran at the other side after a failover, planned or not.
    package var lastFailoverAt: Timestamp?
    /// When a test failover was last begun and cleaned up again: only both together are a success.
    package var lastTestFailoverAt: Timestamp?
    /// What is wrong with its health; nil when nobody has looked yet.
    package var healthErrors: [HealthError]?
    /// Why replication stands, in states `error` and `resync-required`.
    package var trouble: ReplicationTrouble?
    /// Copies that failed since the last one that did not, failures of the sites' reachability aside.
    package var failuresInARow: Int?
    /// On which side replication was last paused; nil means the source.
    ///
    /// It says something in state `paused` only.
    package var pausedAt: ReplicationSide?
    /// When a resync that was put off begins.
    package var resyncAt: Timestamp?
    /// What the last test came to, passed or not; nil before the first.
    package var lastTest: TestReport?
    /// What the former owner's disks hold that the VM went on without; nil when nothing is kept.
    package var divergence: KeptDivergence?
    /// How the VM's NICs are addressed away from where it was set up; nil where nothing has been said.
    package var nicSettings: [NICSettings]?
    /// The VM's NICs as its last failover placed them; nil before the first.
    package var placedNICs: [PlacedNIC]?
    /// Its guest is held for an instant, or was when its engine died; nil otherwise.
    package var heldGuest: HeldGuest?
    /// When a point was last to be application-consistent, whether it came to be or not.
    package var applicationTriedAt: Timestamp?
    /// Why the last such point is crash-consistent only; nil when it is not.
    package var applicationTrouble: String?

    package init(
        id: String, name: String, vmUUID: String, source: String, target: String, policy: String,
        disks: [ReplicatedDisk], networks: [String: String] = [:], item: String? = nil
    ) {
        self.id = id
        self.name = name
        self.vmUUID = vmUUID
        self.home = source
        self.source = source
        self.target = target
        self.owner = source
        self.epoch = 1
        self.state = .unprotected
        self.policy = policy
        self.disks = disks
        self.networks = networks
        self.item = item
        self.lastPointNumber = 0
    }
}

/// One disk of a replicated VM.
package struct ReplicatedDisk: Codable, Hashable, Sendable {
    /// libvirt target name ("vda").
    package var target: String
    /// Size in bytes.
    package var size: UInt64
    /// Path and format of the file that the VM writes at a host that owns or has owned it, by host id.
    package var images: [String: DiskImage]
    /// The file that the VM had at its home when it was protected: what lies beneath it is not the relationship's.
    package var original: DiskImage?

    package init(target: String, size: UInt64, images: [String: DiskImage]) {
        self.target = target
        self.size = size
        self.images = images
        self.original = images.count == 1 ? images.values.first : nil
    }
}

/// A disk's file at one host.
package struct DiskImage: Codable, Hashable, Sendable {
    package var path: String
    /// "qcow2" or "raw".
    package var format: String

    package init(path: String, format: String) {
        self.path = path
        self.format = format
    }
}

/// What an uncommitted or committed failover did: kept until replication runs the other way.
package struct FailoverRecord: Codable, Hashable, Sendable {
    package var planned: Bool
    /// Generation of the chosen point.
    package var generation: String
    /// How it is known that the source is down.
    package var sourceVerdict: SourceVerdict
    package var at: Timestamp
    /// The source's checkpoint at the time, from which its later changes are found when it comes back.
    package var sourceCheckpoint: String?
    /// The disks that the VM had at the source; the point that it was started from may have others.
    ///
    /// Nil in a record of an older version, when the disks were the same at all points.
    package var disks: [ReplicatedDisk]?

    package init(
        planned: Bool, generation: String, sourceVerdict: SourceVerdict, at: Timestamp, sourceCheckpoint: String?
    ) {
        self.planned = planned
        self.generation = generation
        self.sourceVerdict = sourceVerdict
        self.at = at
        self.sourceCheckpoint = sourceCheckpoint
    }
}

/// The copy of a VM that its former owner came back with.
package struct FormerCopy: Codable, Hashable, Sendable {
    package enum State: String, Codable, Hashable, Sendable {
        /// It was off.
        case stopped
        /// It ran on an ownership that has ended, and was suspended with its links down.
        case suspended
    }

    /// The host that has it.
    package var host: String
    package var state: State
    /// The epoch that its host still went by.
    package var epoch: Int
    package var at: Timestamp

    package init(host: String, state: State, epoch: Int, at: Timestamp) {
        self.host = host
        self.state = state
        self.epoch = epoch
        self.at = at
    }
}

/// A failed-over copy at the target that an undo gave up, and that is still to be thrown away there.
package struct LeftCopy: Codable, Hashable, Sendable {
    /// Number of the ownership under which it ran: its disks go by it.
    package var epoch: Int
    /// How it is known that it does not run; while that is unknown, nothing else of the VM is started.
    package var verdict: SourceVerdict

    package init(epoch: Int, verdict: SourceVerdict = .unknown) {
        self.epoch = epoch
        self.verdict = verdict
    }
}

/// How sure it is that the source no longer writes.
package enum SourceVerdict: String, Codable, Hashable, Sendable {
    /// A fence, or the source's own hypervisor, has shown it.
    case proven
    /// The operator's word.
    case declared
    /// Nobody knows; no failover goes on from here.
    case unknown
}

/// A VM protected through the vault: one relationship, owned by a cloud.
package struct ProtectedItem: SiteObject {
    package static let kind = "item"
    package var id: String
    /// The VM's name.
    package var name: String
    package var cloud: String
    package var parent: String? { cloud }
    package var pair: String
    package var relationship: String

    package init(id: String, name: String, cloud: String, pair: String, relationship: String) {
        self.id = id
        self.name = name
        self.cloud = cloud
        self.pair = pair
        self.relationship = relationship
    }
}

/// One whole, consistent state of all the disks of a VM at the target.
package struct RecoveryPoint: SiteObject {
    package static let kind = "point"
    /// The generation: a UUID minted for this state.
    package var id: String
    /// The point's number, counted up within the relationship.
    package var number: Int
    package var name: String { "\(number)" }
    package var relationship: String
    package var parent: String? { relationship }
    /// Generation of the point that this one was built on; nil for a first copy.
    package var previous: String?
    package var cause: PointKind
    /// The instant that it shows.
    package var at: Timestamp
    /// Host that holds it.
    package var host: String
    /// Bytes sent to make it.
    package var bytes: UInt64
    /// Seconds that its guest was held for the point's instant; nil when it was not, or when that is not known any more.
    package var heldSeconds: Double?
    /// Why it is crash-consistent where it was to be application-consistent; nil otherwise.
    package var crashReason: String?
    /// Name of the group point that it is a part of; nil when it is none.
    package var group: String?
    /// What is known to be wrong with it; nil when nothing is.
    package var damage: PointDamage?
    /// When all of it was last read at its host and was as it had been written.
    package var checkedAt: Timestamp?
    /// When it was last compared with its source at its instant, and was the same.
    package var verifiedAt: Timestamp?

    package init(
        id: String, number: Int, relationship: String, previous: String?, cause: PointKind, at: Timestamp,
        host: String, bytes: UInt64
    ) {
        self.id = id
        self.number = number
        self.relationship = relationship
        self.previous = previous
        self.cause = cause
        self.at = at
        self.host = host
        self.bytes = bytes
    }
}

/// How a recovery point came to be.
package enum PointKind: String, Codable, Hashable, Sendable {
    /// The first copy.
    case initial
    /// A cycle of a running VM, without a freeze of its file systems.
    case crashConsistent = "crash"
    case applicationConsistent = "application"
    /// The last point of a VM that was shut down: nothing is lost.
    case planned
}
