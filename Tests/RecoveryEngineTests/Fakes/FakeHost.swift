import BlockReplication
import Hypervisors
import SiteModel

struct FakeHost: Sendable {
    var isReachable = true
    var ailments: Set<Ailment> = []
    /// Starting any VM fails.
    var startsFail = false
    /// No VM can be ended, and none suspended.
    var endsFail = false
    /// Relationships whose ownership record cannot be read.
    var damagedRecords: Set<String> = []
    /// Relationships whose record nobody has confirmed since the host's boot.
    var unconfirmed: Set<String> = []
    /// Vaults that have asked, by their ids, each as it last stood; and copies of them.
    var vaults: [String: VaultStanding] = [:]
    var vaultCopies: [String: [UInt8]] = [:]
    var vaultDraft: [UInt8] = []
    /// Guests power themselves off as soon as they run.
    var guestsPowerOff = false
    /// Disks whose chain cannot be folded.
    var unfoldable: Set<String> = []
    var networks: Set<String>
    /// Networks that were made for tests.
    var madeNetworks: [String: NetworkDefinition] = [:]
    /// What is known of guests' addresses, by VM and hardware address.
    var guestAddresses: [String: [String: [String]]] = [:]
    var domains: [String: FakeDomain] = [:]
    var files: [String: FakeFile] = [:]
    var stores: [String: FakeStore] = [:]
    var freeBlocks = 100_000
    /// Its agent is older than changes of shape and firmware state.
    var hasOldAgent = false
    /// What VMs keep outside their disks, by UUID.
    var firmware: [String: FirmwareState] = [:]
    /// What its hypervisor and its agent say when they are inspected.
    var checks = FakeChecks()
}

struct FakeFile: Hashable, Sendable {
    /// What is allocated in this file; the rest is read from `backing`.
    var blocks: Blocks
    var backing: String?
    /// Persistent bitmaps by name.
    var bitmaps: [String: Set<Int>] = [:]
    /// Bytes.
    var size = UInt64(diskBlocks) * blockSize

    init(blocks: Blocks, backing: String? = nil, bitmaps: [String: Set<Int>] = [:]) {
        self.blocks = blocks
        self.backing = backing
        self.bitmaps = bitmaps
    }

    mutating func write(_ block: Int, _ value: Int) {
        blocks[block] = value
        for name in bitmaps.keys { bitmaps[name]?.insert(block) }
    }
}

struct FakeDomain: Sendable {
    var definition: DomainDefinition {
        didSet { disks = definition.disks }
    }
    private(set) var disks: [DomainDefinition.Disk]
    var power: PowerState
    var autostart: Bool
    var checkpoints: [String] = []
    var backup: FakeBackup?
    var ignoresShutdown = false
    var agent = FakeGuestAgent.answers
    var isFrozen = false
    /// The backups that were begun while it was held: by their checkpoints.
    var begunWhileHeld: [String] = []
    var linksAreUp = true

    /// Whether it writes, or could at any moment: a copy that was suspended with its links down does not.
    var isAlive: Bool { power.isActive && (power != .paused || linksAreUp) }

    init(definition: DomainDefinition, power: PowerState, autostart: Bool = false) {
        self.definition = definition
        disks = definition.disks
        self.power = power
        self.autostart = autostart
    }
}

/// What a guest's agent does when it is asked to freeze.
enum FakeGuestAgent: Sendable, CaseIterable {
    case answers, absent
    /// It freezes, and nobody hears that it has.
    case freezesUnheard
    /// Freezes, and does not answer: neither that it froze nor when it is to thaw.
    case freezesForGood
}

struct FakeBackup: Sendable {
    var request: BackupRequest
    /// Content at the backup's instant, and what had changed since its checkpoint, by disk.
    var frozen: [String: Blocks]
    var changed: [String: Set<Int>]
}

/// What an agent keeps of one relationship.
struct FakeStore: Sendable {
    var ownership: OwnershipRecord?
    var points: [FakePoint] = []
    var draft: FakeDraft?
    /// A first copy that is made in legs.
    var growing: FakeGrowing?
    /// Folder that the draft is written to for carrying; nil for a point of this store.
    var exportFolder: String?
    /// Adopted disks, on which points of the reversed direction stand.
    var base: [String: Blocks] = [:]
    /// Maps of points whose data was dropped.
    var retired: [FakePoint] = []
    var boots: [Int: FakeBoot] = [:]
    /// What guests are told, by epoch.
    var seeds: [Int: [String: String]] = [:]
    /// Files of the adopted disks.
    var basePaths: [String: String] = [:]
    /// Bytes of each disk of the adopted ones, and of the newest point.
    var sizes: [String: UInt64] = [:]
    /// Number that the next point gets unless the one who seals it names a higher one.
    var nextNumber = 1

    /// The state that the next point is built on.
    var newest: [String: Blocks] { points.last?.content ?? base }
}

struct FakePoint: Sendable {
    var summary: PointSummary
    var content: [String: Blocks]
    var extents: [String: Set<Int>]
    var xml: String
    var firmware: FirmwareState?
}

struct FakeDraft: Sendable {
    var request: OpenPoint
    var content: [String: Blocks] = [:]
    var extents: [String: Set<Int>] = [:]
}

/// A first copy that is not whole: how far it has come, and what is there of it.
struct FakeGrowing: Sendable {
    var base: GrowingBase
    var content: [String: Blocks] = [:]
}

struct FakeBoot: Sendable {
    var generation: String
    var images: [BootImage]
}
