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
            guard let domain = state.hosts[host]?.domains[uuid(vm)], domain.power == .running, !domain.isFrozen,
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
