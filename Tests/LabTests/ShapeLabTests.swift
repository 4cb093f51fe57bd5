import BlockReplication
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

/// A real guest whose disks are grown, added and taken away while it is replicated; qemu-img says what each point holds.
@Suite("Disks that change under a real guest", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct ShapeLabTests {
    @Test("Grown running and stopped, added running, taken away: each point has the disks of its time, byte for byte")
    func changes() async throws {
        let guest = LabGuest(name: "orders", address: "10.77.0.11", diskBytes: 128 << 20)
        try await RecoveryLab.with("shape", guests: [guest]) { site in
            let layout = site.lab.layout(of: .a)
            let virsh = ["virsh", "--connect", layout.libvirtURI]
            _ = try await site.replicate(guest)
            _ = try await site.perform(.sync, on: guest)

            // Grown while it runs: libvirt and QEMU keep the bitmap through it, or both sides are compared.
            try output(of: virsh + ["blockresize", guest.name, "vda", "160M"])
            let grown = try await site.perform(.sync, on: guest)
            print(
                "shape: after blockresize \(grown.facts["bytes"] ?? "") bytes sent, \(grown.facts["scanned"] ?? "") read"
            )
            #expect(try await sizes(site, guest) == ["vda": 160 << 20])

            // Added while it runs: whole with the next point, by its changes from then on.
            let added = "\(layout.images)/orders-vdb.qcow2"
            try site.run(at: .a, ["qemu-img", "create", "-q", "-f", "qcow2", added, "64M"])
            try site.run(at: .a, ["qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 5M", added])
            try output(
                of: virsh + [
                    "attach-disk", guest.name, added, "vdb", "--targetbus", "virtio", "--driver", "qemu", "--subdriver",
                    "qcow2", "--persistent",
                ])
            let whole = try await site.perform(.sync, on: guest)
            #expect(Int(whole.facts["bytes"] ?? "") ?? 0 >= 5 << 20)
            #expect(try await sizes(site, guest) == ["vda": 160 << 20, "vdb": 64 << 20])
            let changes = try await site.perform(.sync, on: guest)
            #expect(Int(changes.facts["bytes"] ?? "") ?? .max < 5 << 20, "by its changes")

            // Grown while it is off, with data beyond the former end.
            try await stop(guest, site)
            let disk = guest.diskFiles(at: layout)[0]
            try site.run(at: .a, ["qemu-img", "resize", "-q", "-f", "qcow2", disk, "200M"])
            try site.run(at: .a, ["qemu-io", "-f", "qcow2", "-c", "write -P 9 190M 3M", disk])
            _ = try await site.perform(.sync, on: guest)
            let both = try #require(try await site.points(guest).max())
            #expect(try await sizes(site, guest) == ["vda": 200 << 20, "vdb": 64 << 20])
            try await expectSame(["vda": disk, "vdb": added], site, guest)

            // Taken away: the next point is without it, the one before keeps it.
            try output(of: virsh + ["detach-disk", guest.name, "vdb", "--config"])
            try await site.lab.start([guest.name], at: .a)
            _ = try await site.perform(.sync, on: guest)
            #expect(try await sizes(site, guest) == ["vda": 200 << 20])
            _ = try await site.perform(.testFailover, on: guest, ["point": "\(both)", "network": "test-net"])
            let test = try #require(try await site.relationship(guest).test)
            let tested = try await site.engine.hosts.hypervisor(site.hostB.id).domain(uuid: test.vmUUID)
            #expect(tested?.disks.map(\.target) == ["vda", "vdb"])
            _ = try await site.perform(.cleanUpTest, on: guest)

            let records = try await site.lab.report(from: guest.address, at: .a).records
            _ = try await site.perform(.plannedFailover, on: guest)
            let answer = try await site.answer(of: guest, at: .b)
            #expect(answer.intact && answer.bootRecords >= records, "\(answer.error)")
            let there = try await site.engine.hosts.hypervisor(site.hostB.id).domain(named: guest.name)
            #expect(there?.disks.map(\.target) == ["vda"] && there?.disks.first?.size == 200 << 20)
        }
    }

    private func sizes(_ site: RecoveryLab, _ guest: LabGuest) async throws -> [String: UInt64] {
        Dictionary(
            try await site.relationship(guest).disks.map { ($0.target, $0.size) },
            uniquingKeysWith: { first, _ in first })
    }

    private func stop(_ guest: LabGuest, _ site: RecoveryLab) async throws {
        let hypervisor = try await site.engine.hosts.hypervisor(site.hostA.id)
        let uuid = try await site.relationship(guest).vmUUID
        #expect(try await hypervisor.shutDown(uuid: uuid, limit: .seconds(120)))
    }

    /// The newest point's disks read as these files of the source, which is off.
    private func expectSame(_ files: [String: String], _ site: RecoveryLab, _ guest: LabGuest) async throws {
        let relationship = try await site.relationship(guest)
        let agent = try await site.engine.hosts.agent(site.hostB.id)
        let generation = try #require(relationship.newestGeneration)
        let images = try await agent.createBootImages(
            relationship: relationship.id, generation: generation, epoch: 0)
        #expect(Set(images.map(\.target)) == Set(files.keys))
        for image in images {
            let top = try #require(image.chain.first)
            let file = try #require(files[image.target])
            let source = try site.digest(of: DiskImage(path: file, format: "qcow2"), at: .a)
            #expect(try site.digest(of: top, at: .b) == source, "\(image.target)")
        }
        try await agent.discardBootImages(relationship: relationship.id, epoch: 0)
    }
}
