import BlockReplication
import Hypervisors
import SiteModel

struct WorldState: Sendable {
    /// First copies that are carried, by folder, wherever that is.
    var media: [String: FakePoint] = [:]
    var hosts: [String: FakeHost]
    /// What the source's disks held at the instant of each generation.
    var truth: [String: [String: Blocks]] = [:]
    /// Blocks sent for each generation.
    var sent: [String: Int] = [:]
    /// Blocks that a leg of a first copy takes from beyond each disk's frontier; nil when agents know of no legs.
    var legBlocks: Int?
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
        hosts[host]?.domains[vm]?.isFrozen = false
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
