import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization

/// A disk's content: block number to value.
///
/// A block that is not listed reads as zeros.
typealias Blocks = [Int: Int]

let blockSize: UInt64 = 65536
let diskBlocks = 64

/// Two or more sites in memory: hosts, VMs with disks, agents with points.
///
/// Blocks are values, so that a point made from a wrong set of extents has wrong content. What must never be is noted
/// in `violations` as soon as it is.
final class FakeWorld: Sendable {
    let clock: VirtualClock
    let state: Mutex<WorldState>

    init(clock: VirtualClock, hosts: [String: Set<String>]) {
        self.clock = clock
        state = Mutex(WorldState(hosts: hosts.mapValues { FakeHost(networks: $0) }))
    }

    /// Changes the world and looks whether it is still as it must be.
    func change<Result>(_ body: (inout WorldState) throws -> Result) rethrows -> Result {
        try state.withLock { state in
            defer { if state.looksAtInvariants { state.checkInvariants() } }
            return try body(&state)
        }
    }

    var violations: [String] { state.withLock { $0.violations } }

    // MARK: What happens at sites

    /// `os` and `extraDevices` are XML; `template` is a file of the host beneath the first disk, which other VMs share.
    func addVM(
        _ name: String, at host: String, disks: [String: Blocks], network: String, autostart: Bool = true,
        os: String = "", extraDevices: String = "", template: String? = nil
    ) throws {
        let devices = disks.keys.sorted().map { target in
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
                + "<source file='/images/\(name)-\(target).qcow2'/><target dev='\(target)'/></disk>"
        }.joined()
        let xml =
            "<domain type='qemu'><name>\(name)</name><uuid>\(uuid(name))</uuid>\(os)<devices>\(devices)\(extraDevices)"
            + "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='\(network)'/></interface>"
            + "</devices></domain>"
        let definition = try DomainDefinition(xml: xml)
        change { state in
            for (target, blocks) in disks {
                state.hosts[host]?.files["/images/\(name)-\(target).qcow2"] = FakeFile(blocks: blocks)
            }
            if let template, let first = disks.keys.min() {
                state.hosts[host]?.files["/images/\(name)-\(first).qcow2"]?.backing = template
            }
            state.hosts[host]?.domains[uuid(name)] = FakeDomain(
                definition: definition, power: .running, autostart: autostart)
        }
    }

    func uuid(_ name: String) -> String {
        let digits = name.utf8.reduce(0) { ($0 * 31 + Int($1)) % 99_999_999 }
        return "11111111-0000-4000-8000-0000" + String(digits + 100_000_000).suffix(8)
    }

    /// The guest writes; false when the VM does not run there.
    @discardableResult
    func write(_ vm: String, at host: String, disk: String = "vda", _ blocks: Blocks) -> Bool {
        change { state in
            guard state.hosts[host]?.domains[uuid(vm)]?.power == .running,
                let path = state.path(of: disk, vm: uuid(vm), at: host)
            else { return false }
            for (block, value) in blocks { state.hosts[host]?.files[path]?.write(block, value) }
            return true
        }
    }

    func content(_ vm: String, at host: String, _ disk: String = "vda") -> Blocks? {
        state.withLock { state in
            state.path(of: disk, vm: uuid(vm), at: host).flatMap { state.content($0, at: host) }
        }
    }

    func power(_ vm: String, at host: String) -> PowerState? {
        state.withLock { $0.hosts[host]?.domains[uuid(vm)]?.power }
    }

    func domain(_ vm: String, at host: String) -> FakeDomain? {
        state.withLock { $0.hosts[host]?.domains[uuid(vm)] }
    }

    func store(_ relationship: String, at host: String) -> FakeStore {
        state.withLock { $0.hosts[host]?.stores[relationship] ?? FakeStore() }
    }

    /// QEMU is killed: what was only in its memory, the bitmaps too, is gone.
    func kill(_ vm: String, at host: String) {
        change { $0.end(uuid(vm), at: host, clean: false) }
    }

    func shutDownInside(_ vm: String, at host: String) {
        change { $0.end(uuid(vm), at: host, clean: true) }
    }

    func startByHand(_ vm: String, at host: String) {
        change { $0.run(uuid(vm), at: host) }
    }

    func setIgnoresShutdown(_ vm: String, at host: String, _ value: Bool) {
        change { $0.hosts[host]?.domains[uuid(vm)]?.ignoresShutdown = value }
    }

    /// A file that VMs only read: a template that they share.
    func addFile(_ path: String, at host: String, _ blocks: Blocks) {
        change { $0.hosts[host]?.files[path] = FakeFile(blocks: blocks) }
    }

    func file(_ path: String, at host: String) -> FakeFile? {
        state.withLock { $0.hosts[host]?.files[path] }
    }

    /// The operator puts a disk on another file: what was in its chain is in it, and its change maps begin anew.
    func moveDisk(_ vm: String, at host: String, disk: String = "vda", to path: String) throws {
        try change { state in
            guard let old = state.path(of: disk, vm: uuid(vm), at: host), let content = state.content(old, at: host)
            else { return }
            let names = state.hosts[host]?.files[old]?.bitmaps.keys.map { ($0, Set<Int>()) } ?? []
            state.hosts[host]?.files[path] = FakeFile(
                blocks: content, bitmaps: Dictionary(uniqueKeysWithValues: names))
            try state.hosts[host]?.domains[uuid(vm)]?.definition.setDisk(
                disk, chain: [DomainDefinition.Layer(path: path, format: "qcow2")])
        }
    }

    /// The guest is ended without a trace in its change maps' favour, and from now on a part of the host is ill.
    func fallIll(_ host: String, _ ailment: Ailment, ending vms: [String] = []) {
        change { state in
            for vm in vms { state.end(uuid(vm), at: host, clean: false) }
            state.hosts[host]?.ailments.insert(ailment)
        }
    }

    func recover(_ host: String) {
        change { $0.hosts[host]?.ailments = [] }
    }

    func setFreeBlocks(_ blocks: Int, at host: String) {
        change { $0.hosts[host]?.freeBlocks = blocks }
    }

    /// The site is lost: all its VMs are killed and nothing answers.
    func lose(_ host: String) {
        change { state in
            for vm in (state.hosts[host]?.domains ?? [:]).keys { state.end(vm, at: host, clean: false) }
            state.hosts[host]?.isReachable = false
        }
    }

    func endGuests(_ host: String) {
        change { state in
            for vm in (state.hosts[host]?.domains ?? [:]).keys { state.end(vm, at: host, clean: false) }
        }
    }

    /// Nothing answers, and what runs there runs on.
    func cutOff(_ host: String) {
        change { $0.hosts[host]?.isReachable = false }
    }

    func bringBack(_ host: String) {
        change { $0.hosts[host]?.isReachable = true }
    }
}

/// What can be wrong with a host that is there: it answers, and yet nothing can be done with it.
enum Ailment: String, CaseIterable, Sendable {
    /// Every call to the agent runs into its time limit.
    case agentHangs
    /// The agent says that it is well, and every other call runs into its time limit.
    case agentCallsHang
    /// Every call to the hypervisor fails.
    case hypervisorFails
    /// The hypervisor says who it is, and every other call fails.
    case hypervisorCallsFail

    /// Whether the guest there can still be ended through its hypervisor.
    var leavesHypervisor: Bool { self == .agentHangs || self == .agentCallsHang }
}

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
    /// What its hypervisor and its agent say when they are inspected.
    var checks = FakeChecks()
}

struct FakeFile: Hashable, Sendable {
    /// What is allocated in this file; the rest is read from `backing`.
    var blocks: Blocks
    var backing: String?
    /// Persistent bitmaps by name.
    var bitmaps: [String: Set<Int>] = [:]

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
}

struct FakeDraft: Sendable {
    var request: OpenPoint
    var content: [String: Blocks] = [:]
    var extents: [String: Set<Int>] = [:]
}

struct FakeBoot: Sendable {
    var generation: String
    var images: [BootImage]
}

struct WorldState: Sendable {
    /// First copies that are carried, by folder, wherever that is.
    var media: [String: FakePoint] = [:]
    var hosts: [String: FakeHost]
    /// What the source's disks held at the instant of each generation.
    var truth: [String: [String: Blocks]] = [:]
    /// Blocks sent for each generation.
    var sent: [String: Int] = [:]
    /// What was so and must never be.
    var violations: [String] = []
    /// Called in the middle of every transfer.
    var midTransfer: (@Sendable () async -> Void)?
    /// Guests write as soon as they run: block 62, a new value each time.
    var guestsWriteAtOnce = false
    private var starts = 0
    /// A fence that does not get through.
    var fenceIsBroken = false
    /// A fence that ends the guests of a host, which goes on answering as well or as badly as before.
    var fenceEndsGuestsOnly = false
    /// Left out while a test moves a thousand VMs: looking at all of them after each call takes the square of their number.
    var looksAtInvariants = true

    init(hosts: [String: FakeHost]) {
        self.hosts = hosts
    }

    func path(of disk: String, vm: String, at host: String) -> String? {
        hosts[host]?.domains[vm]?.disks.first { $0.target == disk }?.path
    }

    func paths(vm: String, at host: String) -> [String] {
        hosts[host]?.domains[vm]?.disks.compactMap(\.path) ?? []
    }

    /// The file and all that it stands on, the file first.
    func chain(_ path: String, at host: String) -> [String] {
        var chain: [String] = []
        var next: String? = path
        while let path = next, let file = hosts[host]?.files[path] {
            chain.append(path)
            next = file.backing
        }
        return chain
    }

    /// What is read through a file and all that it stands on; nil when there is no such file.
    func content(_ path: String, at host: String) -> Blocks? {
        let chain = chain(path, at: host)
        guard !chain.isEmpty else { return nil }
        var content: Blocks = [:]
        for layer in chain.reversed() { content.merge(hosts[host]?.files[layer]?.blocks ?? [:]) { $1 } }
        return content.filter { $0.value != 0 }
    }

    /// Whether a VM that is active at the host has the file open, or reads through it.
    func standsUnderARunningVM(_ path: String, at host: String) -> Bool {
        hosts[host]?.domains.contains { vm, domain in
            domain.power.isActive && paths(vm: vm, at: host).contains { chain($0, at: host).contains(path) }
        } ?? false
    }

    /// Removes a relationship's own files, except those that these stand on.
    mutating func removeFiles(of relationship: String, besides kept: [String], at host: String) {
        let needed = Set(kept.flatMap { chain($0, at: host) })
        for path in hosts[host]?.files.keys.filter({ $0.hasPrefix("/store/points/\(relationship)/") }) ?? []
        where !needed.contains(path) {
            if standsUnderARunningVM(path, at: host) { violate("the disk of a running VM is thrown away") }
            hosts[host]?.files[path] = nil
        }
    }

    /// Whether a VM that is active at the host has the file open.
    func isInUse(_ path: String, at host: String) -> Bool {
        hosts[host]?.domains.contains { vm, domain in
            domain.power.isActive && paths(vm: vm, at: host).contains(path)
        } ?? false
    }

    /// Whether another host holds a whole point of the relationship.
    func peerHolds(_ relationship: String, besides host: String) -> Bool {
        hosts.contains { $0.key != host && $0.value.stores[relationship]?.points.isEmpty == false }
    }

    mutating func end(_ vm: String, at host: String, clean: Bool) {
        guard hosts[host]?.domains[vm]?.power.isActive == true else { return }
        hosts[host]?.domains[vm]?.power = .off
        hosts[host]?.domains[vm]?.backup = nil
        guard !clean else { return }
        for path in paths(vm: vm, at: host) { hosts[host]?.files[path]?.bitmaps = [:] }
    }

    mutating func run(_ vm: String, at host: String) {
        hosts[host]?.domains[vm]?.power = .running
        starts += 1
        if hosts[host]?.guestsPowerOff == true { return end(vm, at: host, clean: true) }
        guard guestsWriteAtOnce, let path = paths(vm: vm, at: host).first else { return }
        hosts[host]?.files[path]?.write(62, starts)
    }

    /// Notes a start by an engine at a host whose own record names another owner: nothing but the engine prevents it.
    mutating func checkStart(_ vm: String, at host: String) {
        let record = hosts[host]?.stores.values.compactMap(\.ownership).first { $0.vmUUID == vm }
        guard let record, record.owner != host else { return }
        violate("\(hosts[host]?.domains[vm]?.definition.name ?? vm) is started at \(host), which is not its owner")
    }

    mutating func violate(_ sentence: String) {
        if !violations.contains(sentence) { violations.append(sentence) }
    }

    mutating func checkInvariants() {
        var active: [String: [String]] = [:]
        for (id, host) in hosts where host.isReachable {
            for (vm, domain) in host.domains where domain.isAlive {
                active[vm, default: []].append(id)
                let record = host.stores.values.compactMap(\.ownership).first { $0.vmUUID == vm }
                if domain.autostart, record != nil { violate("\(domain.definition.name) starts by itself at \(id)") }
            }
        }
        for (vm, places) in active where places.count > 1 { violate("\(vm) is active at \(places.sorted())") }
    }
}
