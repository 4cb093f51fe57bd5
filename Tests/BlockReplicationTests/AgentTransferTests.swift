import Foundation
import SiteModel
import Testing

@testable import BlockReplication

@Suite("Two agents move a VM's disks")
struct AgentTransferTests {
    private let g = (1...6).map { TwoSites.generation($0) }

    @Test("a first copy, then what a bitmap marks, then what differs: each point equals the disk")
    func firstCopyThenChanges() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 64, bitmap: "since1")
            let first = try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: 64, .everything)])
            #expect(first.sealed.generation == g[0])
            #expect(first.moved.bytes == 22 << 20, "data travels, holes and zeros do not")
            #expect(try await sites.atB(g[0], "vda", equals: image))

            let frozen = sites.file("first.qcow2")
            try await runTool("cp", image.path, frozen)
            try await runTool(
                "qemu-io", "-f", "qcow2", "-c", "write -P 7 5M 100k", "-c", "write -z 0 64k", "-c", "discard 9M 1M",
                image.path)
            let changed = try #require(try await sites.clientA.changedExtents(image: image, bitmap: "since1"))
            #expect(changed.contains { $0.offset == 0 } && changed.contains { $0.offset == 5 << 20 })
            let second = try await sites.cycle(
                g[1], after: g[0], [.stopped(image, mebibytes: 64, .changed(bitmap: "since1", also: []))])
            #expect(second.sealed.previous == g[0])
            #expect(second.moved.bytes <= 128 << 10)
            #expect(try await sites.atB(g[1], "vda", equals: image))
            let old = DiskImage(path: frozen, format: "qcow2")
            #expect(try await sites.atB(g[0], "vda", equals: old), "a newer point leaves the older one as it was")

            // No bitmap now: only hashes tell.
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 9 20M 192k", "-c", "write -z 3M 1M", image.path)
            let third = try await sites.cycle(g[2], after: g[1], [.stopped(image, mebibytes: 64, .differing)])
            #expect(third.moved.bytes == 192 << 10, "zeros and equal blocks are not sent")
            #expect(third.moved.scanned >= 64 << 20)
            #expect(try await sites.atB(g[2], "vda", equals: image))

            // Nothing differs: an empty point.
            let fourth = try await sites.cycle(g[3], after: g[2], [.stopped(image, mebibytes: 64, .differing)])
            #expect(fourth.moved.bytes == 0)
            #expect(try await sites.atB(g[3], "vda", equals: image))
            let points = try await sites.clientB.points(relationship: sites.relationship)
            #expect(points.map(\.generation) == Array(g[0...3]))
            let newer = try await sites.clientB.extentsNewer(relationship: sites.relationship, than: g[0])
            let covers = try #require(newer["vda"]).contains {
                $0.offset <= 20 << 20 && $0.offset + $0.length > 20 << 20
            }
            #expect(covers)
            let kept = try await sites.clientB.keepPoints(
                relationship: sites.relationship, keeping: [g[3]], pinned: [g[1]])
            #expect(kept.map(\.generation) == [g[1], g[3]])
        }
    }

    @Test("further ranges travel, united with what a bitmap marks")
    func unions() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 16)
            try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: 16, .everything)])
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 1 1M 64k", image.path)
            try await runTool("qemu-img", "bitmap", "--add", image.path, "b")
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 2 8M 64k", image.path)
            let also = [ByteRange(offset: (1 << 20) + 100, length: 65000)]
            try await sites.cycle(
                g[1], after: g[0], [.stopped(image, mebibytes: 16, .changed(bitmap: "b", also: also))])
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("six disks of a VM, raw and qcow2, make one point")
    func severalDisks() async throws {
        try await TwoSites.with { sites in
            var disks: [SourceDisk] = []
            for index in 0..<6 {
                let target = "vd" + String(UnicodeScalar(UInt8(97 + index)))
                var image = try await sites.makeImage(target, mebibytes: 12, seed: UInt64(index))
                if index == 5 {
                    let raw = sites.file("raw.img")
                    try await runTool("qemu-img", "convert", "-O", "raw", image.path, raw)
                    image = DiskImage(path: raw, format: "raw")
                }
                disks.append(.stopped(image, mebibytes: 12, .everything, target: target))
            }
            let point = try await sites.cycle(g[0], after: nil, disks)
            #expect(Set(point.moved.checksums.keys) == Set(disks.map(\.target)))
            for disk in disks {
                guard case .image(let image) = disk.from else { continue }
                #expect(try await sites.atB(g[0], disk.target, equals: image), "disk \(disk.target)")
            }
        }
    }

    @Test("an export of a process that has the disk open is read like a running VM's, bitmap and all")
    func export() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 16, bitmap: "backup-vda")
            try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: 16, .everything)])
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 1 6M 70k", image.path)
            let interrupt = try Interrupt()
            let server = try QEMUExport(image, bitmap: "backup-vda")
            let held = try await onThread("test-open") { try server.connect(interrupt) }
            defer { held.close() }
            let disk = SourceDisk(
                target: "vda", size: 16 << 20, from: .export(socket: server.socket, name: ""),
                extents: .changed(bitmap: nil, also: []))
            let moved = try await sites.cycle(g[1], after: g[0], [disk]).moved
            #expect(moved.bytes == 72 << 10, "of two granules of 64 KiB the blocks of 4 KiB that were written")
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("a missing bitmap, and one that a killed QEMU left in use, are unusable and never an empty set")
    func unusableBitmaps() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 16, bitmap: "b")
            #expect(try await sites.clientA.changedExtents(image: image, bitmap: "other") == nil)
            #expect(try await sites.clientA.changedExtents(image: image, bitmap: "b") == [])
            // A server that opens the image for writing marks the bitmap; killed, it leaves the mark.
            let socket = sites.file("writer")
            let writer = try HelperProcess(
                ["qemu-nbd", "--format=qcow2", "--persistent", "--socket=\(socket)", image.path],
                outputPath: sites.file("writer.log"))
            #expect(await eventually { access(socket, F_OK) == 0 })
            #expect(
                await code { _ = try await sites.clientA.changedExtents(image: image, bitmap: "b") } == .busy,
                "an image that is open for writing is not read")
            writer.end(SIGKILL)
            #expect(try await sites.clientA.changedExtents(image: image, bitmap: "b") == nil)
            let disks = [SourceDisk.stopped(image, mebibytes: 16, .changed(bitmap: "b", also: []))]
            let ticket = try await sites.open(g[0], after: nil, disks)
            let thrown = await code {
                _ = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: disks)) { _ in }
            }
            #expect(thrown == .noUsableBitmap)
            #expect(try await sites.clientB.points(relationship: sites.relationship).isEmpty)
        }
    }

    @Test("the way back: boot images at B, adopted disks at A, and points that equal B's disk")
    func reverse() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 16)
            try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: 16, .everything)])
            let record = OwnershipRecord(relationship: sites.relationship, vmUUID: sites.vm.uuid, owner: "b", epoch: 2)
            try await sites.clientB.recordOwnership(record)
            try await sites.clientA.recordOwnership(record)
            let boot = try await sites.clientB.createBootImages(
                relationship: sites.relationship, generation: g[0], epoch: 2)
            let again = try await sites.clientB.createBootImages(
                relationship: sites.relationship, generation: g[0], epoch: 2)
            #expect(boot == again)
            let top = try #require(boot.first?.chain.first)
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 5 2M 128k", top.path)
            // The old owner wrote on for a moment after the last point.
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 6 12M 64k", image.path)
            try await sites.clientA.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: 16 << 20, image: image)])
            let disks = [SourceDisk.stopped(top, mebibytes: 16, .differing)]
            let ticket = try await sites.clientA.openPoint(
                OpenPoint(
                    relationship: sites.relationship, vm: sites.vm, generation: g[1], previous: nil,
                    disks: [DiskGeometry(target: "vda", size: 16 << 20)]))
            let moved = try await sites.clientB.sendPoint(SendPoint(ticket: ticket, disks: disks)) { _ in }
            // 128 KiB written at B; A's 64 KiB were a hole at B or data, and are undone either way.
            #expect(moved.bytes >= 128 << 10 && moved.bytes <= 192 << 10)
            _ = try await sites.clientA.sealPoint(
                SealPoint(
                    relationship: sites.relationship, generation: g[1], number: 2, cause: .planned,
                    at: Timestamp(milliseconds: 1), epoch: 2, owner: "b", domainXML: "<domain/>",
                    checksums: moved.checksums))
            let store = try #require(try await sites.a.service.stores.existing(sites.relationship))
            let copy = try #require(try await store.chain(of: .point(g[1]), target: "vda").first)
            let verdict = try await runTool("qemu-img", "compare", top.path, copy.path)
            #expect(verdict.contains("identical"))
        }
    }
}
