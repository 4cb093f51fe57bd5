import Foundation
import SiteModel
import Testing

@testable import BlockReplication

@Suite("Disks that change their shape between two agents, with qemu-img as the judge")
struct AgentShapeTests {
    private let g = (1...6).map { TwoSites.generation($0) }

    private func freeze(_ sites: TwoSites, _ image: DiskImage, _ name: String) async throws -> DiskImage {
        try await runTool("cp", image.path, sites.file(name))
        return DiskImage(path: sites.file(name), format: image.format)
    }

    @Test(
        "a disk that was grown is whole at its new size, by its bitmap or by comparing, and older points stay",
        arguments: [true, false])
    func grown(_ byBitmap: Bool) async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 10, bitmap: "since1")
            try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: 10, .everything)])
            let before = try await freeze(sites, image, "before.qcow2")
            try await runTool("qemu-img", "resize", "-f", "qcow2", image.path, "15900672")
            try await runTool(
                "qemu-io", "-f", "qcow2", "-c", "write -P 5 11M 300k", "-c", "write -z 12M 64k", "-c",
                "write -P 6 3M 8k",
                image.path)
            let tail = ByteRange(offset: 10 << 20, length: 15_900_672 - 10 << 20)
            var disk = SourceDisk.stopped(
                image, mebibytes: 0, byBitmap ? .changed(bitmap: "since1", also: [tail]) : .differing)
            disk.size = 15_900_672
            let second = try await sites.cycle(g[1], after: g[0], [disk])
            #expect(second.moved.bytes < 1 << 20, "what is new and zero does not travel as bytes")
            #expect(try await sites.atB(g[1], "vda", equals: image))
            #expect(try await sites.atB(g[0], "vda", equals: before))
            let kept = try await sites.clientB.keepPoints(relationship: sites.relationship, keeping: [g[1]], pinned: [])
            #expect(kept.map(\.generation) == [g[1]])
            #expect(try await sites.atB(g[1], "vda", equals: image), "folded into the base")
        }
    }

    @Test("a disk that was shrunk and grown again shows nothing of what it once held there")
    func shrunkAndGrown() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 10)
            try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: 10, .everything)])
            try await runTool("qemu-img", "resize", "--shrink", "-f", "qcow2", image.path, "5M")
            try await sites.cycle(g[1], after: g[0], [.stopped(image, mebibytes: 5, .differing)])
            #expect(try await sites.atB(g[1], "vda", equals: image))
            try await runTool("qemu-img", "resize", "-f", "qcow2", image.path, "10M")
            try await sites.cycle(g[2], after: g[1], [.stopped(image, mebibytes: 10, .differing)])
            #expect(try await sites.atB(g[2], "vda", equals: image))
            _ = try await sites.clientB.keepPoints(relationship: sites.relationship, keeping: [g[2]], pinned: [])
            #expect(try await sites.atB(g[2], "vda", equals: image))
        }
    }

    @Test("a disk that is added travels whole with its first point, one taken away is in older points only")
    func addedAndRemoved() async throws {
        try await TwoSites.with { sites in
            let (first, data) = (
                try await sites.makeImage("first", mebibytes: 8),
                try await sites.makeImage("data", mebibytes: 7, seed: 9)
            )
            let vda = SourceDisk.stopped(first, mebibytes: 8, .everything)
            try await sites.cycle(g[0], after: nil, [vda])
            var same = vda
            same.extents = .differing
            let vdc = SourceDisk.stopped(data, mebibytes: 7, .everything, target: "vdc")
            let ticket = try await sites.open(g[1], after: g[0], [same, vdc])
            #expect(ticket.held == [DiskGeometry(target: "vda", size: 8 << 20)])
            let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [same, vdc])) { _ in }
            _ = try await sites.seal(g[1], moved.checksums)
            #expect(try await sites.atB(g[1], "vdc", equals: data))
            let frozen = try await freeze(sites, data, "frozen.qcow2")
            // Taken away, and later another disk of that name.
            try await sites.cycle(g[2], after: g[1], [same])
            try await runTool("qemu-io", "-f", "qcow2", "-c", "discard 0 4M", "-c", "write -P 3 2M 64k", data.path)
            try await sites.cycle(g[3], after: g[2], [same, vdc])
            let images = try await sites.clientB.createBootImages(
                relationship: sites.relationship, generation: g[2], epoch: 0)
            #expect(images.map(\.target) == ["vda"])
            try await sites.clientB.discardBootImages(relationship: sites.relationship, epoch: 0)
            #expect(try await sites.atB(g[3], "vdc", equals: data))
            #expect(try await sites.atB(g[1], "vdc", equals: frozen))
            _ = try await sites.clientB.keepPoints(relationship: sites.relationship, keeping: [g[3]], pinned: [])
            #expect(try await sites.atB(g[3], "vdc", equals: data))
            #expect(try await sites.atB(g[3], "vda", equals: first))
        }
    }

    @Test("a disk with a backing file, and a raw one at rest, read as what the guest sees")
    func backed() async throws {
        try await TwoSites.with { sites in
            let base = try await sites.makeImage("base", mebibytes: 6)
            let top = DiskImage(path: sites.file("top.qcow2"), format: "qcow2")
            try await runTool(
                "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.path, top.path, "9M")
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 8 1M 64k", "-c", "write -P 8 8M 64k", top.path)
            try await sites.cycle(g[0], after: nil, [.stopped(top, mebibytes: 9, .everything)])
            #expect(try await sites.atB(g[0], "vda", equals: top))
        }
    }
}
