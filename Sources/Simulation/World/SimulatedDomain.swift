package import Hypervisors
package import SiteModel

/// What a guest's agent does when it is asked to freeze or thaw.
package enum GuestAgentBehaviour: String, Hashable, Sendable, CaseIterable {
    case answers, absent
    /// It freezes, and its answer comes too late.
    case freezesLate = "freezes-late"
    /// Nothing that it is asked has an effect until it is well again.
    case silent
}

/// What a guest does with its disks and its power button.
package struct GuestBehaviour: Hashable, Sendable {
    package var writesPerSecond = 0.0
    package var writeBytes: UInt64 = 4096
    /// The guest writes within the first bytes of each disk only, in stretches of `writeBytes`.
    package var workingSet: UInt64 = 64 << 20
    package var ignoresPowerButton = false
    package var shutDownSeconds = 3.0
    /// Seconds from its start to its first write and its first answer.
    package var bootSeconds = 2.0
    /// It powers itself off as soon as it runs.
    package var powersOffAtBoot = false
    /// IPv4 address at which it answers probes; nil when it does not.
    package var address: String?
    package var agent = GuestAgentBehaviour.answers

    package init() {}
}

/// A VM at one host, as libvirt and QEMU keep it there.
package struct SimulatedDomain: Sendable {
    package let uuid: String
    /// The definition of the next start; nil when it was undefined while the VM ran.
    package var stored: DomainDefinition? {
        didSet {
            storedXML = stored?.xml
            storedFacts = Facts(stored)
        }
    }
    /// The definition that the running VM was started from.
    package var live: DomainDefinition? {
        didSet { liveFacts = live.map { Facts($0) } }
    }
    package private(set) var storedXML: String?
    private var storedFacts: Facts
    private var liveFacts: Facts?
    package var power = PowerState.off
    package var autostart = false
    package var checkpoints: [Checkpoint] = []
    package var guest = GuestBehaviour()
    package var chance: SplitMix
    /// When the running guest writes next, in microseconds; while it is paused, how long after it goes on.
    var nextWrite: Double = 0
    /// When the guest began to run, and what it had written before.
    package var bootedAt = Timestamp(milliseconds: 0)
    package var began: WriteMark?
    /// Writes that failed because the host's disk was full.
    package var writeErrors = 0
    /// What the guest had written when it last powered itself off in good order.
    package var writesAtPowerOff: Int?
    /// Its file systems are frozen.
    package internal(set) var isFrozen = false
    /// The guest is on its way down since its power button was pressed.
    var goesDown = false

    package struct Checkpoint: Hashable, Sendable {
        package var name: String
        package var disks: [String]
    }

    package init(uuid: String, definition: DomainDefinition, seed: UInt64) {
        self.uuid = uuid
        stored = definition
        storedXML = definition.xml
        storedFacts = Facts(definition)
        chance = SplitMix(seed: SplitMix.seed(uuid, seed))
    }

    /// What is often asked of a definition: reading its XML takes longer than all else that a call does.
    private struct Facts: Sendable {
        var name = ""
        var memoryMiB = 0
        var disks: [DomainDefinition.Disk] = []
        var nics: [DomainNIC] = []

        init(_ definition: DomainDefinition?) {
            guard let definition else { return }
            name = definition.name
            memoryMiB = definition.memoryMiB
            disks = definition.disks
            nics = definition.nics
        }
    }

    private var facts: Facts { liveFacts ?? storedFacts }
    package var name: String { facts.name }
    package var memoryMiB: Int { facts.memoryMiB }
    package var nics: [DomainNIC] { facts.nics }

    /// The disks as the VM has them now.
    package var disks: [DomainDefinition.Disk] { facts.disks }

    /// Targets of the disks that the guest writes.
    var writable: [DomainDefinition.Disk] { disks.filter(\.isWritableFile) }

    package func path(of target: String) -> String? { disks.first { $0.target == target }?.path }
}

/// A pull backup that is open: the content of its instant, and what it has kept aside since.
package struct SimulatedBackup: Sendable {
    package var request: BackupRequest
    /// By disk.
    package var frozen: [String: LayeredContent]
    package var marks: [String: WriteMark]
    /// What had changed since the request's checkpoint; empty without one.
    package var changed: [String: Set<Int>]
    /// Granules that the guest has overwritten since, each kept once.
    package var overwritten: Set<ScratchPlace> = []

    package struct ScratchPlace: Hashable, Sendable {
        var disk: Int
        var granule: Int
    }

    package var scratchBytes: UInt64 { UInt64(overwritten.count) * Bitmap.granule }
}
