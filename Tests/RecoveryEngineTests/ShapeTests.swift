import BlockReplication
import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("A VM whose disks change while it is replicated")
struct ShapeTests {
    private func protected() async throws -> Rig {
        let rig = try await Rig(points: 5)
        try await rig.protect()
        try await cycle(rig, [7: 1])
        return rig
    }

    private func cycle(_ rig: Rig, _ blocks: Blocks, disk: String = "vda") async throws {
        rig.world.write("orders", at: "a", disk: disk, blocks)
        // The policy keeps one point an hour besides the newest.
        rig.clock.advance(seconds: 3600)
        try await rig.run(.sync)
    }

    /// Gives the VM at `host` other disks, as XML; files are made for those with content.
    private func attach(_ rig: Rig, _ xml: String, _ files: [String: Blocks] = [:], without: [String] = []) throws {
        let uuid = rig.world.uuid("orders")
        let before = try #require(rig.world.domain("orders", at: "a")?.definition)
        var text = before.xml
        text = text.replacing("</devices>", with: xml + "</devices>")
        var definition = try DomainDefinition(xml: text)
        definition.removeDisks(without)
        let made = definition
        rig.world.change { state in
            for (path, blocks) in files { state.hosts["a"]?.files[path] = FakeFile(blocks: blocks) }
            state.hosts["a"]?.domains[uuid]?.definition = made
        }
    }

    private func disk(_ target: String, format: String = "qcow2", extra: String = "") -> String {
        "<disk type='file' device='disk'><driver name='qemu' type='\(format)'/><source file='/images/\(target).img'/>"
            + "<target dev='\(target)'/>\(extra)</disk>"
    }

    private func events(_ rig: Rig, _ code: String) async throws -> [Event] {
        try await rig.vault.read { try $0.events(about: nil, limit: 100) }.filter { $0.code == code }
    }

    private func targets(_ rig: Rig, at host: String = "b") -> [String] {
        rig.world.domain("orders", at: host)?.definition.disks.map(\.target).sorted() ?? []
    }

    @Test("An added disk is in the next point whole, in none before, and fails over with it", arguments: [true, false])
    func added(_ planned: Bool) async throws {
        let rig = try await protected()
        try attach(rig, disk("vdc"), ["/images/vdc.img": [3: 33, 9: 99]])
        try await cycle(rig, [8: 2])
        let points = rig.world.store(try await rig.relationship().id, at: "b").points
        #expect(points.map { $0.content.keys.sorted() } == [["vda", "vdb"], ["vda", "vdb"], ["vda", "vdb", "vdc"]])
        #expect(points.last?.content["vdc"] == [3: 33, 9: 99])
        #expect(try await events(rig, "disk-added").count == 1)
        try await cycle(rig, [5: 55], disk: "vdc")
        #expect(try await rig.newestPoint(at: "b")?["vdc"] == [3: 33, 5: 55, 9: 99])
        try await rig.run(planned ? .plannedFailover : .unplannedFailover)
        #expect(targets(rig) == ["vda", "vdb", "vdc"])
        #expect(rig.world.content("orders", at: "b", "vdc") == [3: 33, 5: 55, 9: 99])
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", disk: "vdc", [6: 66])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a")?["vdc"] == [3: 33, 5: 55, 6: 66, 9: 99])
        #expect(rig.world.violations == [])
    }

    @Test("A failover to a point from before a disk was added says so, and the undo has the disk again")
    func olderPoint() async throws {
        let rig = try await protected()
        try attach(rig, disk("vdc"), ["/images/vdc.img": [3: 33]])
        try await cycle(rig, [8: 2])
        let job = try await rig.run(.unplannedFailover, "orders", ["point": "2"])
        #expect(job.facts["findings"]?.contains("older than disk vdc") == true)
        #expect(targets(rig) == ["vda", "vdb"])
        try await rig.run(.changePoint, "orders", ["point": "3"])
        #expect(targets(rig) == ["vda", "vdb", "vdc"])
        try await rig.run(.undo)
        #expect(try await rig.relationship().disks.map(\.target) == ["vda", "vdb", "vdc"])
        try await cycle(rig, [4: 44], disk: "vdc")
        #expect(try await rig.newestPoint(at: "b")?["vdc"] == [3: 33, 4: 44])
        #expect(rig.world.violations == [])
    }

    @Test("A disk that was taken away is in older points only, and comes back with one of those")
    func removed() async throws {
        let rig = try await protected()
        try attach(rig, "", without: ["vdb"])
        try await cycle(rig, [8: 2])
        #expect(try await rig.newestPoint(at: "b")?.keys.sorted() == ["vda"])
        #expect(try await events(rig, "disk-removed").count == 1)
        try await rig.run(.unplannedFailover, "orders", ["point": "2"])
        #expect(targets(rig) == ["vda", "vdb"])
        #expect(rig.world.content("orders", at: "b", "vdb") == [10: 5])
        try await rig.run(.commit)
        rig.world.write("orders", at: "b", disk: "vdb", [11: 6])
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a")?["vdb"] == [10: 5, 11: 6])
        #expect(rig.world.violations == [])
    }

    @Test("A disk that is resized has its new size from the next point on", arguments: [96, 32])
    func resized(_ blocks: Int) async throws {
        let rig = try await protected()
        let size = UInt64(blocks) * blockSize
        let path = "/images/orders-vda.qcow2"
        rig.world.change { state in
            state.hosts["a"]?.files[path]?.size = size
            if blocks > diskBlocks { state.hosts["a"]?.files[path]?.blocks[80] = 8 }
        }
        try await cycle(rig, [9: 3])
        #expect(try await rig.relationship().disks.first?.size == size)
        #expect(try await rig.newestPoint(at: "b") == rig.disks(at: "a"))
        #expect(try await events(rig, "disk-resized").count == 1)
        try await rig.run(.plannedFailover)
        try await rig.run(.commit)
        try await rig.run(.reverse)
        #expect(try await rig.newestPoint(at: "a") == rig.disks(at: "b"))
        #expect(rig.world.violations == [])
    }

    @Test(
        "A disk that cannot be replicated stops replication with the reason, until it is left out by name",
        arguments: [
            (
                "<disk type='file' device='disk'><driver type='raw'/><source file='/images/vdc.img'/><target dev='vdc'/></disk>",
                "raw"
            ),
            (
                "<disk type='network' device='disk'><driver type='raw'/><source protocol='rbd' name='p/i'/><target dev='vdc'/></disk>",
                "not a file"
            ),
            (
                "<disk type='file' device='disk'><driver type='qcow2'/><source file='/images/vdc.img'/><target dev='vdc'/><shareable/></disk>",
                "shared"
            ),
        ])
    func obstacles(_ xml: String, _ reason: String) async throws {
        let rig = try await protected()
        try attach(rig, xml, ["/images/vdc.img": [1: 1]])
        rig.clock.advance(seconds: 30)
        let error = try await engineError { try await rig.run(.sync) }
        #expect(error.kind == .disksChanged && error.message.contains("vdc") && error.message.contains(reason))
        let stopped = try await rig.relationship()
        #expect(stopped.state == .error && stopped.unreplicated?.keys.sorted() == ["vdc"])
        let health = try await rig.engine.health()
        #expect(
            health.items.first?.errors.contains { $0.code == "disk-not-replicated" && $0.message.contains("vdc") }
                == true)
        // Nothing fails over without that disk unless its point is named.
        let refused = try await engineError { try await rig.run(.unplannedFailover) }
        #expect(refused.message.contains("does not have its disk vdc") && refused.hint?.contains("--point 2") == true)
        #expect(try await rig.relationship().owner == "a")
        #expect(rig.world.domain("orders", at: "a")?.power == .running, "it is refused before the source is ended")
        try await rig.engine.leaveOut(["vdc"], of: stopped.id)
        try await rig.run(.resume)
        let after = try await rig.relationship()
        #expect(after.state == .protected && after.unreplicated == nil && after.excludedDisks == ["vdc"])
        try await rig.run(.plannedFailover)
        #expect(targets(rig) == ["vda", "vdb"])
        #expect(rig.world.violations == [])
    }

    @Test("A failover to a named point goes on without the disk that is in none, and says so")
    func named() async throws {
        let rig = try await protected()
        try attach(rig, disk("vdc", format: "raw"), ["/images/vdc.img": [1: 1]])
        rig.clock.advance(seconds: 30)
        _ = try await engineError { try await rig.run(.sync) }
        let job = try await rig.run(.unplannedFailover, "orders", ["point": "2"])
        #expect(job.facts["findings"]?.contains("does not have its disk vdc") == true)
        #expect(targets(rig) == ["vda", "vdb"])
    }

    @Test("Media, read-only files and other disks that no point holds do not keep the VM from starting")
    func others() async throws {
        let rig = try await protected()
        try attach(
            rig,
            "<disk type='file' device='cdrom'><source file='/iso/install.iso'/><target dev='sda'/></disk>"
                + "<disk type='file' device='floppy'><source file='/iso/drivers.img'/><target dev='fda'/></disk>"
                + disk("vdx", extra: "<readonly/>"), ["/iso/install.iso": [:], "/images/vdx.img": [:]])
        try await cycle(rig, [8: 2])
        #expect(try await rig.newestPoint(at: "b")?.keys.sorted() == ["vda", "vdb"])
        let job = try await rig.run(.plannedFailover)
        let disks = try #require(rig.world.domain("orders", at: "b")?.definition.disks)
        #expect(disks.map(\.target).sorted() == ["fda", "sda", "vda", "vdb"])
        #expect(disks.filter { $0.device != "disk" }.allSatisfy { $0.path == nil })
        for part in ["drive sda", "drive fda", "disk vdx"] {
            #expect(job.facts["findings"]?.contains(part) == true, "\(part)")
        }
    }

    @Test("Two VMs of one name are refused: in a cloud, and at the target")
    func sameName() async throws {
        let rig = try await Rig()
        let other = rig.world.uuid("other")
        try rig.world.addVM("other", at: "b", disks: ["vda": [:]], network: "prod-b")
        let twin = try #require(rig.world.domain("other", at: "b")?.definition)
        let renamed = try DomainDefinition(xml: twin.xml.replacing("<name>other</name>", with: "<name>orders</name>"))
        rig.world.change { $0.hosts["b"]?.domains[other]?.definition = renamed }
        let error = try await engineError { try await rig.protect() }
        #expect(error.message.contains("another VM 'orders'") && error.hint?.contains("rename") == true)
        // At the source: the same name twice.
        let twins = try await Rig()
        try twins.world.addVM("other", at: "a", disks: ["vda": [:]], network: "prod-a")
        twins.world.change { $0.hosts["a"]?.domains[other]?.definition = renamed }
        let both = try await engineError { try await twins.protect() }
        #expect(both.message.contains("2 VMs 'orders'"))
        #expect(try await twins.vault.read { try $0.objects(Relationship.self).isEmpty })
    }
}
