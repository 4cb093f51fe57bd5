import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

/// An operation in the situation that it is for: made ready on a fresh rig, performed, and looked at afterwards.
enum Undertaking: String, CaseIterable, Sendable {
    case protect
    case sync
    case syncOfStoppedVM
    case unplannedFailover
    case failoverOfLostSite
    case failoverByFence
    case plannedFailover
    case changePoint
    case undo
    case commit
    case reverse
    case reverseByComparing
    case reverseAfterPlanned
    case unprotect
    case test
    case testInMadeNetworks
    case cleanUpTest
    case failoverToAddress

    var operation: SiteModel.Operation {
        switch self {
        case .protect: .protect
        case .sync, .syncOfStoppedVM: .sync
        case .unplannedFailover, .failoverOfLostSite, .failoverByFence: .unplannedFailover
        case .plannedFailover: .plannedFailover
        case .changePoint: .changePoint
        case .undo: .undo
        case .commit: .commit
        case .reverse, .reverseByComparing, .reverseAfterPlanned: .reverse
        case .unprotect: .unprotect
        case .test, .testInMadeNetworks: .testFailover
        case .cleanUpTest: .cleanUpTest
        case .failoverToAddress: .unplannedFailover
        }
    }

    private var arguments: [String: String] {
        switch self {
        case .failoverOfLostSite: ["source": "declared lost"]
        case .failoverByFence: ["source": "fence"]
        case .changePoint: ["point": "2"]
        case .testInMadeNetworks: ["network": "create", "keep": "true"]
        default: [:]
        }
    }

    func rig(points: Int) async throws -> Rig {
        let rig = try await Rig(points: points)
        guard self != .protect else { return rig }
        try await rig.protect()
        for round in 1...2 {
            rig.world.write("orders", at: "a", [round: round * 100, 10 + round: round])
            try await rig.cycle()
        }
        rig.world.write("orders", at: "a", [5: 5, 30: 30])
        rig.clock.advance(seconds: 10)
        try await prepareFailover(rig)
        return rig
    }

    private func prepareFailover(_ rig: Rig) async throws {
        switch self {
        case .protect, .sync, .unplannedFailover, .failoverByFence, .plannedFailover, .unprotect, .test: return
        case .testInMadeNetworks, .failoverToAddress: try await setAddresses(rig)
        case .cleanUpTest:
            try await setAddresses(rig)
            try await rig.run(.testFailover, "orders", ["network": "create"])
        case .syncOfStoppedVM: rig.world.shutDownInside("orders", at: "a")
        case .failoverOfLostSite: rig.world.lose("a")
        case .changePoint, .undo:
            try await rig.run(.unplannedFailover)
        case .commit:
            try await rig.run(.unplannedFailover, "orders", ["point": "2"])
        case .reverse, .reverseByComparing:
            if self == .reverseByComparing { rig.world.kill("orders", at: "a") }
            try await rig.run(.unplannedFailover, "orders", ["point": "2"])
            try await rig.run(.commit)
            rig.world.write("orders", at: "b", [7: 700, 2: 222])
        case .reverseAfterPlanned:
            try await rig.run(.plannedFailover)
            try await rig.run(.commit)
            rig.world.write("orders", at: "b", [7: 700])
        }
    }

    /// The VM's NIC takes another address at the other side and a third in tests.
    private func setAddresses(_ rig: Rig) async throws {
        try await rig.engine.setNIC(
            .index(1), of: rig.relationship().id,
            failover: .set(NICAddressing(.static, address: IPv4Address("10.0.8.21"), prefix: 24)),
            test: .set(NICAddressing(.pool, prefix: 24, pool: AddressPool(range: "10.9.8.20-10.9.8.60"))))
    }

    func perform(_ rig: Rig, by engine: RecoveryEngine) async throws {
        if self == .protect {
            try await rig.protect(by: engine)
        } else {
            try await rig.run(operation, "orders", arguments, by: engine)
        }
    }

    /// Whether a job of this operation, begun after the first `earlier` jobs, has succeeded.
    func isDone(_ rig: Rig, since earlier: Int) async throws -> Bool {
        let found = try await rig.vault.read {
            try $0.object(Relationship.self, named: "orders", parent: nil) != nil
        }
        guard found else { return false }
        let jobs = try await rig.jobs().sorted { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
        return jobs.dropFirst(earlier).contains { $0.operation == operation && $0.state == .succeeded }
    }

    func jobsBefore(_ rig: Rig) async throws -> Int {
        self == .protect ? 0 : try await rig.jobs().count
    }
}

/// How a VM stands after an operation: all that must not depend on how often it was interrupted.
struct Outcome: Equatable, Sendable {
    var state: ReplicationState
    var owner: String
    var source: String
    var target: String
    var epoch: Int
    var activeHosts: [String]
    var autostart: [Bool]
    var recordedOwners: [String]
    /// Content of the owner's disks.
    var disks: [String: Blocks]
    /// Contents of the points at the target, oldest first, without repetitions.
    var points: [[String: Blocks]]
    var committed: Bool
    /// What else is at the hosts: test VMs, networks made for tests, what guests are told.
    var besides: [String]
    var hasTest: Bool

    init(_ rig: Rig) async throws {
        let relationship = try await rig.relationship()
        let store = rig.world.store(relationship.id, at: relationship.target)
        state = relationship.state
        owner = relationship.owner
        source = relationship.source
        target = relationship.target
        epoch = relationship.epoch
        activeHosts = Rig.hosts.filter { rig.world.power("orders", at: $0)?.isActive == true }
        autostart = Rig.hosts.compactMap { rig.world.domain("orders", at: $0)?.autostart }
        recordedOwners = Rig.hosts.compactMap { rig.world.store(relationship.id, at: $0).ownership?.owner }
        disks = rig.disks(at: relationship.owner)
        points = []
        for point in store.points where points.last != point.content { points.append(point.content) }
        committed = relationship.failover == nil
        hasTest = relationship.test != nil
        besides = rig.world.state.withLock { state in
            Rig.hosts.flatMap { name in
                let host = state.hosts[name]
                let vms = host?.domains.values.map(\.definition.name).filter { $0 != "orders" } ?? []
                let seeds = host?.stores.values.flatMap(\.seeds).map {
                    "seed \($0.key) \($0.value["network-config"] ?? "")"
                }
                // Hardware addresses of test VMs are made of identities, which differ with what went before.
                let told = (seeds ?? []).map { $0.split(separator: "\n").filter { !$0.contains("macaddress") } }
                return (vms + Array(host?.madeNetworks.keys ?? [:].keys) + told.map { $0.joined(separator: "\n") })
                    .sorted()
                    .map { "\(name): \($0)" }
            }
        }

        // True of every end, whichever it is.
        #expect(relationship.activeJob == nil)
        #expect(try await rig.vault.read { try $0.openJobs().map(\.value.id) } == [])
        #expect(rig.world.violations == [])
        #expect(rig.world.domain("orders", at: relationship.source)?.backup == nil, "a backup was left open")
        let known = try await rig.points().map(\.id)
        let held = store.points.map(\.summary.generation)
        #expect(known == held, "the vault's points are the target's")
        if relationship.state == .protected {
            #expect(relationship.newestGeneration == held.last)
            // What follows works: one more cycle gives a right point.
            rig.world.write("orders", at: relationship.owner, [63: 63, 1: 4711])
            try await rig.cycle()
            #expect(try await rig.newestPoint(at: relationship.target) == rig.disks(at: relationship.owner))
            #expect(rig.world.violations == [])
        }
    }
}
