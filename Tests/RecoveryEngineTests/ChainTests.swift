import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Files under a VM: what is folded, what is not, and which one is read")
struct ChainTests {
    private let template = "/images/template.qcow2"
    private let held: Blocks = [20: 200, 21: 201, 22: 202]

    /// A VM whose first disk stands on a template that other VMs share.
    private func rigOnTemplate() async throws -> Rig {
        let rig = try await Rig(vms: [])
        rig.world.addFile(template, at: "a", held)
        try rig.world.addVM(
            "orders", at: "a", disks: ["vda": [0: 1, 21: 2100], "vdb": [10: 5]], network: "prod-a", template: template)
        return rig
    }

    /// Over to the other host and protected in that direction.
    private func turn(_ rig: Rig, from: String, to: String, _ value: Int) async throws {
        rig.world.write("orders", at: from, [value: value])
        let before = rig.disks(at: from)
        try await rig.run(.plannedFailover)
        #expect(rig.disks(at: to) == before)
        try await rig.run(.commit)
        rig.world.write("orders", at: to, [value + 1: value + 1, 22: value])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: from) == rig.disks(at: to))
        rig.world.write("orders", at: to, [value + 2: value + 2])
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: from) == rig.disks(at: to))
    }

    @Test func nothingIsFoldedIntoASharedTemplate() async throws {
        let rig = try await rigOnTemplate()
        let expected = try #require(rig.world.file(template, at: "a"))
        try await rig.protect()
        #expect(try await rig.newestPoint(at: "b")?["vda"] == [0: 1, 20: 200, 21: 2100, 22: 202])
        for round in 1...2 {
            try await turn(rig, from: "a", to: "b", 30 + round * 10)
            try await turn(rig, from: "b", to: "a", 35 + round * 10)
            #expect(rig.world.file(template, at: "a") == expected, "round \(round)")
        }
        let path = rig.world.domain("orders", at: "a")?.disks.first { $0.target == "vda" }?.path
        #expect(path == "/images/orders-vda.qcow2", "the chain is folded into the VM's own disk")
        #expect(rig.world.violations == [])
    }

    @Test func shortChainsStayShort() async throws {
        let rig = try await Rig()
        try await rig.protect()
        for round in 1...3 {
            try await turn(rig, from: "a", to: "b", 10 + round * 10)
            try await turn(rig, from: "b", to: "a", 15 + round * 10)
        }
        for host in Rig.hosts {
            for disk in rig.world.domain("orders", at: host)?.disks ?? [] {
                let chain = rig.world.state.withLock { $0.chain(disk.path ?? "", at: host) }
                #expect(chain.count <= 5, "\(host) \(disk.target): \(chain)")
            }
        }
        #expect(rig.world.violations == [])
    }

    /// The first disk's chain is folded, the second one's is not.
    @Test(arguments: [false, true])
    func chainsFoldedHalfWayAreKnownAsTheyAre(_ stopped: Bool) async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [5: 5])
        try await rig.cycle()
        try await rig.run(.plannedFailover)
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [6: 6])
        rig.world.write("orders", at: "b", disk: "vdb", [7: 7])
        rig.world.change { $0.hosts["b"]?.unfoldable = ["vdb"] }
        try await rig.run(.reverse)
        try await expectRecordNamesTheFiles(rig, at: "b")
        let said = try await events(rig, .warning).filter { $0.contains("not folded") }
        #expect(said.count == 1)

        rig.world.write("orders", at: "b", [8: 8])
        rig.world.write("orders", at: "b", disk: "vdb", [9: 9])
        if stopped { rig.world.shutDownInside("orders", at: "b") }
        let last = rig.disks(at: "b")
        try await rig.run(.plannedFailover)
        #expect(rig.disks(at: "a") == last, "a planned failover loses nothing")
        #expect(rig.world.violations == [])
    }

    /// Somebody folds or moves a disk behind our back; its maps say nothing of what came before.
    @Test(arguments: [false, true], [false, true])
    func movedDiskIsReadWhereItIsAndCompared(_ stopped: Bool, _ firstCycleFails: Bool) async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [1: 11, 33: 33])
        if stopped { rig.world.shutDownInside("orders", at: "a") }
        try rig.world.moveDisk("orders", at: "a", to: "/images/moved.qcow2")
        if !stopped { rig.world.write("orders", at: "a", [34: 34]) }
        if firstCycleFails {
            // What the first cycle found out must not be forgotten by the second.
            rig.world.setFreeBlocks(0, at: "b")
            _ = try await engineError { try await rig.cycle() }
            rig.world.setFreeBlocks(100_000, at: "b")
        }
        try await rig.cycle()
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(try await rig.newestPoint(at: "b")?["vda"]?[33] == 33)
        try await expectRecordNamesTheFiles(rig, at: "a")

        let last = rig.disks(at: "a")
        try await rig.run(.plannedFailover)
        #expect(rig.disks(at: "b") == last)
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", [35: 35])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    /// The same at the side that the VM has left, before replication is turned round.
    @Test func movedDiskOfTheFormerOwnerIsCompared() async throws {
        let rig = try await Rig()
        try await rig.protect()
        rig.world.write("orders", at: "a", [1: 11, 33: 33])
        try await rig.run(.unplannedFailover)
        try await rig.run(.commit)
        try rig.world.moveDisk("orders", at: "a", to: "/images/moved.qcow2")
        rig.world.write("orders", at: "b", [35: 35])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        try await expectRecordNamesTheFiles(rig, at: "a")
        #expect(rig.world.violations == [])
    }

    private func expectRecordNamesTheFiles(_ rig: Rig, at host: String) async throws {
        for disk in try await rig.relationship().disks {
            let named = rig.world.domain("orders", at: host)?.disks.first { $0.target == disk.target }?.path
            #expect(disk.images[host]?.path == named, "\(disk.target) at \(host)")
        }
    }

    private func events(_ rig: Rig, _ severity: Event.Severity) async throws -> [String] {
        try await rig.vault.read { try $0.events(about: nil, limit: 10_000) }
            .filter { $0.severity == severity }.map(\.text)
    }
}
