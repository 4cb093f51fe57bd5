/// One host's hypervisor: what the engine may ask of it and make it do.
///
/// Every call says what it found or did; calls that change something are idempotent where the words allow
/// (`define`, `shutDown` of a VM that is off, `endBackup` without one). Errors are `HypervisorError`.
package protocol Hypervisor: Sendable, GuestHolding {
    func information() async throws -> HypervisorInformation
    func networks() async throws -> [String]
    /// The definition of a network; nil when the host has none of that name.
    func networkDefinition(named name: String) async throws -> NetworkDefinition?
    /// Makes a network and starts it; nothing happens when it is there with the same mark and runs.
    ///
    /// One of that name that is not marked so is left as it is, and refused (`busy`).
    func defineNetwork(_ definition: NetworkDefinition) async throws
    /// Ends and removes a network that carries this mark; nothing happens when there is none of that name.
    ///
    /// One with another mark or none is left as it is, and refused (`busy`).
    func removeNetwork(named name: String, mark: NetworkDefinition.Mark) async throws
    /// The addresses that the VM's NICs are known to have, by hardware address: what its guest agent says, what the
    /// network's DHCP server gave, what the host's own table of neighbours has seen. Empty when nobody knows any.
    func guestAddresses(uuid: String) async throws -> [String: [String]]
    /// What the host can do: emulator, backups, networks that are up, memory.
    func capabilities() async throws -> HypervisorCapabilities
    /// Whether the VM's guest agent answers, and what stands in the way of tracking its changes.
    func readiness(uuid: String) async throws -> GuestReadiness

    // Inventory
    func domains() async throws -> [Domain]
    /// The domain of that UUID; nil when the host does not know it.
    func domain(uuid: String) async throws -> Domain?
    func domain(named name: String) async throws -> Domain?
    /// The definition that the next start will use.
    func inactiveXML(uuid: String) async throws -> String

    // Definition
    func define(xml: String) async throws
    /// Removes the definition with its checkpoint metadata, NVRAM and managed save; disks stay. Nothing happens when
    /// there is none.
    func undefine(uuid: String) async throws
    func setAutostart(uuid: String, _ on: Bool) async throws
    /// Writes the ownership record into the domain's metadata (both its live and its stored definition).
    func setOwnership(uuid: String, _ ownership: Ownership) async throws
    func ownership(uuid: String) async throws -> Ownership?
    /// Takes the ownership record out of the domain's metadata. Nothing happens when there is none.
    func removeOwnership(uuid: String) async throws

    // Power
    /// Starts the VM; `paused` leaves its CPUs stopped before the first instruction. Nothing happens when it is active.
    func start(uuid: String, paused: Bool) async throws
    func resume(uuid: String) async throws
    func suspend(uuid: String) async throws
    /// Presses the power button, again every few seconds, until the VM is off or `limit` is over. Returns whether it is
    /// off.
    func shutDown(uuid: String, limit: Duration) async throws -> Bool
    /// Ends the VM at once. Nothing happens when it is off.
    func destroy(uuid: String) async throws
    /// Sets the link of every NIC of the VM (of a running one at once, of any for its next start).
    func setLinks(uuid: String, up: Bool) async throws

    // Changed blocks
    /// Names of the domain's checkpoints, oldest first.
    func checkpoints(uuid: String) async throws -> [String]
    /// Begins to track changes of these disks under a new checkpoint; the VM must be running or paused.
    ///
    /// One of that name that exists is kept when it is whole. Take a fresh name for a fresh checkpoint: the bitmap of
    /// a forgotten one may still lie in the file and hold its name.
    func createCheckpoint(uuid: String, name: String, disks: [String]) async throws
    /// Ends a checkpoint and removes its bitmap. `checkpointUnusable` when the bitmap is missing (after a crash of
    /// QEMU): then `metadataOnly`, which does not look for it, removes the record. Nothing happens without such a
    /// checkpoint.
    func deleteCheckpoint(uuid: String, name: String, metadataOnly: Bool) async throws
    /// Begins a pull backup and, in the same instant, a new checkpoint; the VM must be running or paused.
    func beginBackup(uuid: String, _ request: BackupRequest) async throws
    /// Ends the backup under way; checkpoints stay. Nothing happens when there is none.
    func endBackup(uuid: String) async throws
    func backupIsActive(uuid: String) async throws -> Bool
    /// Bytes that changed under a checkpoint, as its maps say; nil where that is not known without reading disks.
    func changedBytes(uuid: String, since checkpoint: String) async throws -> UInt64?

    // Chains
    /// Folds the running VM's chain of one disk down into the named layer and lets the VM go on from it.
    ///
    /// Checkpoints stay usable when that layer is qcow2 and are lost when it is raw. Resumable: a commit already under
    /// way is waited for, one already done is noticed; one not done within `limit` is given up, and the chain stays as
    /// it was.
    func commitChain(uuid: String, disk: String, into base: String, limit: Duration) async throws
}

/// What a hypervisor does not know that keeps no such account.
extension Hypervisor {
    package func changedBytes(uuid: String, since checkpoint: String) async throws -> UInt64? { nil }
}

/// A driver that makes no networks.
extension Hypervisor {
    package func networkDefinition(named name: String) async throws -> NetworkDefinition? {
        throw Self.noNetworks
    }

    package func defineNetwork(_ definition: NetworkDefinition) async throws { throw Self.noNetworks }

    package func removeNetwork(named name: String, mark: NetworkDefinition.Mark) async throws {
        throw Self.noNetworks
    }

    package func guestAddresses(uuid: String) async throws -> [String: [String]] { [:] }

    private static var noNetworks: HypervisorError {
        HypervisorError(
            .unsupported, "this host's driver makes no networks", hint: "test in a network that is there, or in none")
    }
}

/// What a hypervisor without metadata of its own does: a stand-in need not keep any.
extension Hypervisor {
    package func removeOwnership(uuid: String) async throws {}
}

/// A hypervisor's identity and version.
package struct HypervisorInformation: Hashable, Sendable {
    package var hostName: String
    package var hostUUID: String
    package var libraryVersion: String
    package var hypervisorVersion: String

    package init(hostName: String, hostUUID: String, libraryVersion: String, hypervisorVersion: String) {
        self.hostName = hostName
        self.hostUUID = hostUUID
        self.libraryVersion = libraryVersion
        self.hypervisorVersion = hypervisorVersion
    }
}

/// A VM as its host describes it.
package struct Domain: Hashable, Sendable {
    package var name: String
    package var uuid: String
    package var power: PowerState
    package var autostart: Bool
    package var memoryMiB: Int
    package var disks: [DomainDisk]
    package var nics: [DomainNIC]

    package init(
        name: String, uuid: String, power: PowerState, autostart: Bool, memoryMiB: Int, disks: [DomainDisk],
        nics: [DomainNIC]
    ) {
        self.name = name
        self.uuid = uuid
        self.power = power
        self.autostart = autostart
        self.memoryMiB = memoryMiB
        self.disks = disks
        self.nics = nics
    }
}

package enum PowerState: String, Hashable, Sendable, Codable {
    case running, paused, shuttingDown, off
    /// Off, and known to have ended without closing its disks. Ask `isActive`, not for `off`, to know that it is off;
    /// after the loss of a whole host nobody knows any more, and the state is `off`.
    case crashed

    /// Whether a QEMU process exists, so that disks may be open.
    package var isActive: Bool { self == .running || self == .paused || self == .shuttingDown }
}

/// A disk of a domain: only writable file disks are replicated, the others say why not.
package struct DomainDisk: Hashable, Sendable {
    package var target: String
    package var path: String?
    /// "qcow2", "raw", ...
    package var format: String
    package var isReadOnly: Bool
    /// Size in bytes as the guest sees it; nil when the host cannot say.
    package var size: UInt64?
    /// Whether other VMs may write it too.
    package var isShareable: Bool

    package init(
        target: String, path: String?, format: String, isReadOnly: Bool, size: UInt64?, isShareable: Bool = false
    ) {
        self.isShareable = isShareable
        self.target = target
        self.path = path
        self.format = format
        self.isReadOnly = isReadOnly
        self.size = size
    }
}

package struct DomainNIC: Hashable, Sendable {
    package var mac: String
    /// Name of the libvirt network; nil when connected otherwise or not at all.
    package var network: String?
    package var linkIsUp: Bool

    package init(mac: String, network: String?, linkIsUp: Bool) {
        self.mac = mac
        self.network = network
        self.linkIsUp = linkIsUp
    }
}

/// Who may write a VM's disks, as recorded at a host.
package struct Ownership: Hashable, Sendable, Codable {
    /// Id of the relationship.
    package var relationship: String
    /// Id of the owning host.
    package var owner: String
    package var epoch: Int

    package init(relationship: String, owner: String, epoch: Int) {
        self.relationship = relationship
        self.owner = owner
        self.epoch = epoch
    }
}

/// A pull backup to begin: an NBD export per disk, named as the disk's target, on a local socket of the host.
package struct BackupRequest: Hashable, Sendable {
    /// Checkpoint since which changes are wanted; nil for everything.
    ///
    /// When set, each export carries the changes as the meta context `qemu:dirty-bitmap:backup-<target>`.
    package var since: String?
    /// Checkpoint to create in the same instant.
    package var checkpoint: String
    /// Path of the Unix socket that the export is served on.
    package var socket: String
    /// Folder for scratch files; they disappear with the backup.
    package var scratchFolder: String
    package var disks: [String]
    /// Those of the disks that `since` knows nothing of: their exports carry no changes.
    package var whole: [String]

    package init(
        since: String?, checkpoint: String, socket: String, scratchFolder: String, disks: [String],
        whole: [String] = []
    ) {
        self.whole = whole
        self.since = since
        self.checkpoint = checkpoint
        self.socket = socket
        self.scratchFolder = scratchFolder
        self.disks = disks
    }
}
