import BlockReplication
import Foundation
import Glibc
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import TestSupport
import VaultStore

/// What a round came to.
struct RoundReport: Sendable {
    /// Where the fault came: the stage that was under way, or that it came when all was over.
    var instant = ""
    var outcome = ""
    /// What was done until a new point was whole again.
    var way: [String] = []
    var points = 0
    var bytes = 0
    /// Bytes of points that were not what had been written.
    var lost = 0
    /// Points that were found not to be what was written, after a bit was flipped in them.
    var damaged = 0
    /// Failovers to such points, each refused.
    var refused = 0
}

/// One round: a machine that writes without rest, replicated; a fault in the middle of one phase; and then every point compared
/// with what was written.
///
/// An actor, because the round's writer changes with the machine's life.
actor FaultRound {
    let site: FaultSite
    let plan: FaultPlan
    let machine: BareMachine
    let log: WriteLog
    var writer: DiskWriter?
    var uuid = ""
    var relationshipID = ""
    /// Where the machine runs, and where its points are.
    var from = SiteName.a
    var report = RoundReport()
    /// Between which numbers of writes a point's instant lies.
    var bounds: [Int: ClosedRange<Int>] = [:]
    /// Writes that were acknowledged when the faulty operation began.
    var faultBegan = 0
    var flipped: [FlippedBit] = []
    var badSectors: BadSectors?
    private var writers: UInt64 = 0

    var to: SiteName { from.other }

    init(_ site: FaultSite, _ plan: FaultPlan) {
        (self.site, self.plan) = (site, plan)
        machine = BareMachine(name: plan.name, diskBytes: plan.diskBytes)
        var chance = Chance(seed: plan.seed ^ 0xD15C)
        // Of a little random data many disks can be made, and quickly.
        let pool = chance.bytes(1 << 20)
        log = WriteLog(
            base: plan.diskBytes.map { size in
                var disk = [UInt8](repeating: 0, count: size)
                for start in stride(from: 0, to: size - 65536, by: 65536) where !chance.once(in: 3) {
                    let from = chance.number(in: 0...pool.count - 65536)
                    disk.replaceSubrange(start..<start + 65536, with: pool[from..<from + 65536])
                }
                return disk
            })
    }

    func play() async throws -> RoundReport {
        site.link.quality = WideAreaLink.Quality(rate: plan.rate, delay: 0.0005)
        try await create()
        try await beginReplication()
        try await prepare()
        let before = try await vaultPoints()
        try await strike()
        try await survivors(of: before)
        try await recover()
        try await expectDamageKnown()
        try await expectNothingLeft()
        try await failOver()
        try await remove()
        return report
    }

    /// What the vault says of the machine, for whoever looks into a round that failed.
    func evidence() async -> [String] {
        let id = relationshipID
        let events = try? await site.engine.vault.read { vault in
            try vault.events(about: id, limit: 25).map(\.text)
        }
        return (events ?? []) + ["log: \(log.acknowledged) of \(log.begun) writes; bounds \(bounds)"]
    }

    // MARK: - Beginning

    private func create() async throws {
        let layout = site.lab.layout(of: .a)
        let root = site.lab.configuration.root
        for (index, content) in log.base.enumerated() {
            let raw = "\(root)/base-\(index).raw"
            defer { unlink(raw) }
            try Data(content).write(to: URL(filePath: raw))
            // Where the source's file system is filled, the machine's own file must not need to grow.
            let options = plan.faults.contains(.sourceFull) ? ["-o", "preallocation=falloc"] : []
            try site.run(
                at: .a,
                ["qemu-img", "convert", "-f", "raw", "-O", "qcow2"] + options + [raw, machine.file(index, at: layout)])
        }
        let hypervisor = try await site.hypervisor(.a)
        try await hypervisor.define(xml: machine.domainXML(at: layout, root: root))
        guard let domain = try await hypervisor.domain(named: machine.name) else {
            throw RoundFailure("libvirt does not know the machine that was just defined")
        }
        uuid = domain.uuid
        try await hypervisor.start(uuid: uuid, paused: false)
        try await startWriting()
    }

    func startWriting() async throws {
        writers += 1
        writer = try DiskWriter(
            socket: machine.socket(at: site.lab.layout(of: from)), log: log, seed: plan.seed &* 31 &+ writers,
            pause: plan.pause, expectsErrors: plan.faults.contains(.sourceErrors))
    }

    func stopWriting() async throws {
        try await writer?.stop()
        if let error = writer?.error { throw RoundFailure("the guest saw an error: \(error)") }
        writer = nil
    }

    /// Waits until so much more was written.
    func write(_ count: Int) async throws {
        let goal = log.acknowledged + count
        try await untilSo("\(count) writes more") {
            if let error = writer?.error { throw RoundFailure("the guest saw an error: \(error)") }
            if writer?.hasEnded == true { throw RoundFailure("the machine has ended by itself") }
            return log.acknowledged >= goal
        }
    }

    /// Leaves the first copy outstanding, so that any engine can be asked for it.
    private func beginReplication() async throws {
        let policy = try await site.engine.ensurePolicy(
            Policy(
                id: RandomIdentifiers().next(), name: "keep-\(plan.recoveryPoints)", copyFrequencySeconds: 30,
                recoveryPoints: plan.recoveryPoints))
        let relationship = try await site.engine.replicate(
            vm: machine.name, from: try site.host(.a), to: try site.host(.b), policy: policy, networks: [:],
            options: ProtectOptions(firstCopy: .scheduled, startAfter: 24 * 3600))
        relationshipID = relationship.id
    }

    private func prepare() async throws {
        guard plan.phase != .firstCopy else { return try await write(20) }
        try await perform(.startFirstCopy)
        for _ in 0..<plan.pointsBefore {
            try await write(30)
            try await perform(.sync)
        }
        try await write(30)
        switch plan.phase {
        case .firstCopy, .cycle, .merge, .fold, .verify, .check: break
        case .compare:
            try await killMachine()
            try await restartMachine()
            try await write(10)
        case .reverse: try await moveOver()
        }
        for fault in plan.faults where fault.isOfMap {
            if fault == .mapRemoved || fault == .mapInconsistent {
                try await spoilMap(isRemoved: fault == .mapRemoved)
            } else {
                try await meddleWithMap(fault)
            }
        }
        try await flipBits()
    }

    /// Fails over to some point and commits: what is written from then on is a new branch of what was written until then.
    private func moveOver() async throws {
        var chance = plan.chance
        try await stopWriting()
        if chance.once(in: 2) { try await killMachine() } else { try await endMachine() }
        let chosen = chance.one(of: try await vaultPoints()).number
        let written = try await judgePoints()[chosen]
        guard let written else { throw RoundFailure("point \(chosen) is not at the target") }
        try await perform(.unplannedFailover, ["point": "\(chosen)"])
        log.rewind(to: written.upperBound)
        bounds = [:]
        from = .b
        try await startWriting()
        try await write(60)
        try await perform(.commit)
    }

    // MARK: - The machine

    func machineProcess(at site: SiteName) throws -> pid_t {
        let text = try self.site.run(at: site, ["cat", "/run/libvirt/qemu/\(machine.name).pid"])
        guard let pid = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw RoundFailure("the machine runs nowhere at \(site.rawValue)")
        }
        return pid
    }

    func killMachine() async throws {
        kill(try machineProcess(at: from), SIGKILL)
        try await awaitEnd()
    }

    func endMachine() async throws {
        try await site.hypervisor(from).destroy(uuid: uuid)
        try await awaitEnd()
    }

    /// Waits until a machine that was killed is known to be off, and looks whether its disks have all that was acknowledged.
    func awaitEnd() async throws {
        let (hypervisor, id) = (try await site.hypervisor(from), uuid)
        try await untilSo("libvirt sees that QEMU has ended") {
            try await hypervisor.domain(uuid: id)?.power.isActive == false
        }
        try await stopWriting()
        guard let domain = try await hypervisor.domain(uuid: id) else { throw RoundFailure("the machine is undefined") }
        let images = domain.disks.sorted { $0.target < $1.target }.compactMap { disk in
            disk.path.map { DiskImage(path: $0, format: disk.format) }
        }
        if let wrong = log.adopt(try site.copies.contents(of: images, at: from)) {
            throw RoundFailure("the machine's own disks: \(wrong)")
        }
    }

    func restartMachine() async throws {
        let (hypervisor, id) = (try await site.hypervisor(from), uuid)
        // An agent that reads the disks at rest may hold them for a moment.
        try await untilSo("the machine starts again") {
            do {
                if plan.faults.contains(.sourceErrors) {
                    // After a host's boot somebody must confirm first that the VM is still its own; and it is started then.
                    try await SiteWatch(engine: site.engine) { _ in }.look()
                    if try await hypervisor.domain(uuid: id)?.power == .running { return true }
                }
                try await hypervisor.start(uuid: id, paused: false)
                return true
            } catch let error as HypervisorError {
                report.way.append("start refused: \(error.message)")
                try await Task.sleep(for: .milliseconds(500))
                return false
            }
        }
        try await startWriting()
    }

    /// Takes the change map away, or leaves one in the file that says of itself that it cannot be trusted.
    private func spoilMap(isRemoved: Bool) async throws {
        guard isRemoved else {
            // Ended well, the map is in the file; opened again, it is marked as in use until the next good end.
            try await stopWriting()
            try await endMachine()
            try await restartMachine()
            try await write(5)
            try await killMachine()
            return try await restartMachine()
        }
        guard let name = try await site.hypervisor(from).checkpoints(uuid: uuid).last else {
            throw RoundFailure("the machine has no checkpoint")
        }
        let layout = site.lab.layout(of: from)
        let virsh = ["virsh", "--connect", layout.libvirtURI, "qemu-monitor-command", machine.name]
        let nodes = try output(of: virsh + ["--pretty", #"{"execute":"query-named-block-nodes"}"#])
        for node in Set(nodes.matches(of: /"libvirt-[0-9]+-format"/).map { nodes[$0.range] }) {
            let order = #"{"execute":"block-dirty-bitmap-remove","arguments":{"node":\#(node),"name":"\#(name)"}}"#
            try output(of: virsh + [order])
        }
    }

    // MARK: - Operations

    func relationship() async throws -> Relationship { try await site.engine.relationship(relationshipID) }

    func vaultPoints() async throws -> [RecoveryPoint] {
        let id = relationshipID
        return try await site.engine.vault.read { try $0.objects(RecoveryPoint.self, parent: id).map(\.value) }
    }

    @discardableResult
    func perform(_ operation: SiteModel.Operation, _ arguments: [String: String] = [:]) async throws -> Job {
        let low = log.acknowledged
        do {
            let job = try await site.engine.perform(operation, on: relationshipID, arguments: arguments)
            try await bound(from: low)
            return job
        } catch let error as EngineError {
            throw RoundFailure("\(operation.rawValue): \(error.message) (\(error.hint ?? "no hint"))")
        }
    }

    /// Notes of points that are new since when their instant can only have been.
    func bound(from low: Int) async throws {
        let high = log.begun
        for point in try await vaultPoints() where bounds[point.number] == nil { bounds[point.number] = low...high }
    }
}
