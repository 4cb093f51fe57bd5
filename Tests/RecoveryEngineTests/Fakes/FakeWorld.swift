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
/// Blocks are values, so that a point made from a wrong set of extents has wrong content. What must never be is noted in
/// `violations` as soon as it is.
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
            defer { state.checkInvariants() }
            return try body(&state)
        }
    }

    var violations: [String] { state.withLock { $0.violations } }

    // MARK: What happens at sites

    func addVM(_ name: String, at host: String, disks: [String: Blocks], network: String, autostart: Bool = true) throws
    {
        let devices = disks.keys.sorted().map { target in
            "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
                + "<source file='/images/\(name)-\(target).qcow2'/><target dev='\(target)'/></disk>"
        }.joined()
        let xml =
            "<domain type='qemu'><name>\(name)</name><uuid>\(uuid(name))</uuid><devices>\(devices)"
            + "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='\(network)'/></interface>"
            + "</devices></domain>"
        let definition = try DomainDefinition(xml: xml)
        change { state in
            for (target, blocks) in disks {
                state.hosts[host]?.files["/images/\(name)-\(target).qcow2"] = FakeFile(blocks: blocks)
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
            state.path(of: disk, vm: uuid(vm), at: host).flatMap { state.hosts[host]?.files[$0]?.blocks }
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

    /// Nothing answers, and what runs there runs on.
    func cutOff(_ host: String) {
        change { $0.hosts[host]?.isReachable = false }
    }

    func bringBack(_ host: String) {
        change { $0.hosts[host]?.isReachable = true }
    }
}

struct FakeHost: Sendable {
    var isReachable = true
    var networks: Set<String>
    var domains: [String: FakeDomain] = [:]
    var files: [String: FakeFile] = [:]
    var stores: [String: FakeStore] = [:]
    var freeBlocks = 100_000
}

struct FakeFile: Hashable, Sendable {
    var blocks: Blocks
    /// Persistent bitmaps by name.
    var bitmaps: [String: Set<Int>] = [:]

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
    /// Adopted disks, on which points of the reversed direction stand.
    var base: [String: Blocks] = [:]
    /// Maps of points whose data was dropped.
    var retired: [FakePoint] = []
    var boots: [Int: FakeBoot] = [:]

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

    init(hosts: [String: FakeHost]) {
        self.hosts = hosts
    }

    func path(of disk: String, vm: String, at host: String) -> String? {
        hosts[host]?.domains[vm]?.disks.first { $0.target == disk }?.path
    }

    func paths(vm: String, at host: String) -> [String] {
        hosts[host]?.domains[vm]?.disks.compactMap(\.path) ?? []
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
        guard guestsWriteAtOnce, let path = paths(vm: vm, at: host).first else { return }
        hosts[host]?.files[path]?.write(62, starts)
    }

    mutating func violate(_ sentence: String) {
        if !violations.contains(sentence) { violations.append(sentence) }
    }

    mutating func checkInvariants() {
        var active: [String: [String]] = [:]
        for (id, host) in hosts where host.isReachable {
            for (vm, domain) in host.domains where domain.power.isActive {
                active[vm, default: []].append(id)
                let record = host.stores.values.compactMap(\.ownership).first { $0.vmUUID == vm }
                if let record, record.owner != id, domain.power == .running {
                    violate("\(domain.definition.name) runs at \(id), which is not its owner")
                }
                if domain.autostart, record != nil { violate("\(domain.definition.name) starts by itself at \(id)") }
            }
        }
        for (vm, places) in active where places.count > 1 { violate("\(vm) is active at \(places.sorted())") }
    }
}
