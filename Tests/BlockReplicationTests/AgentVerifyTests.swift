import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Two agents compare a point with its source as a whole, and what differs becomes a further point")
struct AgentVerifyTests {
    private let first = TwoSites.generation(1)
    private let second = TwoSites.generation(2)
    private let third = TwoSites.generation(3)

    @Test("a point that is what its source holds is told so, and nothing travels")
    func equal() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 24)
            let whole = SourceDisk.stopped(image, mebibytes: 24, .everything)
            let compared = SourceDisk.stopped(image, mebibytes: 24, .differing)
            let made = try await sites.cycle(first, after: nil, [whole]).moved
            let ticket = try await sites.open(second, after: first, [compared])
            let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [compared])) { _ in }
            #expect(moved.differing == 0 && moved.bytes == 0 && moved.scanned == 24 << 20)
            #expect(moved.marks == made.marks && moved.marks?["vda"] != nil)
            try await sites.clientB.abandonPoint(relationship: sites.relationship, generation: second)
            let checked = try await sites.clientB.checkPoints(CheckPoints(relationship: sites.relationship)) { _ in }
            #expect(checked.points.map(\.damage) == [nil] && checked.unrecorded.isEmpty)
            #expect(checked.points.first?.checkedAt != nil)
        }
    }

    @Test("what is known to be damaged is sent again, even where it reads as the source does")
    func distrusted() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 24)
            try await sites.cycle(first, after: nil, [.stopped(image, mebibytes: 24, .everything)])
            let store = try #require(await sites.b.service.stores.existing(sites.relationship))
            let wrong = [(3 << 20) + 8192, 4 << 20].map { Extent(offset: $0, length: 4096) }
            try await store.endCheck(
                try await store.beginCheck(nil),
                wrong: [.init(generation: first, target: "vda", extents: wrong, cause: .altered)])
            #expect(try await store.damage(of: first)?.disks.first?.bytes == 8192)
            let compared = SourceDisk.stopped(image, mebibytes: 24, .differing)
            let moved = try await sites.cycle(second, after: first, [compared], number: 2).moved
            #expect(moved.differing ?? 0 >= 8192)
            #expect(try await store.damage(of: second) == nil)
            #expect(try await sites.atB(second, "vda", equals: image))
        }
    }

    @Test("what cannot be read at the target is sent whole, and the point that it makes stands on none of it")
    func unreadableTarget() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 24)
            try await sites.cycle(first, after: nil, [.stopped(image, mebibytes: 24, .everything)])
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 7 9M 64k", image.path)
            let compared = SourceDisk.stopped(image, mebibytes: 24, .differing)
            try await sites.cycle(second, after: first, [compared], number: 2)
            let store = try #require(await sites.b.service.stores.existing(sites.relationship))
            let path = try #require(try await store.chain(of: .point(second), target: "vda").first?.path)
            let overlay = try OverlayReader(opening: path)
            // Its cluster's place, off the grid of clusters: QEMU refuses to read there.
            let entry = overlay.l1[0] + (9 << 20) / OverlayLayout.clusterSize * 16
            try flipBits(path, at: entry + 6, mask: 2)
            #expect(try await !sites.atB(second, "vda", equals: image))
            let moved = try await sites.cycle(third, after: second, [compared], number: 3).moved
            #expect(moved.bytes >= 8 << 20, "all data of what could not be compared")
            #expect(try await sites.atB(third, "vda", equals: image))
        }
    }

    /// The disk at the target is changed behind everybody's back, in its base; and one block at the source, behind the bitmap's.
    @Test(
        "what differs is named, the older point is damaged there, the further point is whole, and failover would find it"
    )
    func differs() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 24)
            try await sites.cycle(first, after: nil, [.stopped(image, mebibytes: 24, .everything)])
            let base = sites.file("b/store/points/orders/base-vda.raw")
            let file = try ImageFile(updating: base)
            try [UInt8](repeating: 0x77, count: 4096).withUnsafeBytes { try file.write($0, at: (3 << 20) + 8192) }
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 5 9M 4k", image.path)

            let compared = SourceDisk.stopped(image, mebibytes: 24, .differing)
            let (sealed, moved) = try await sites.cycle(second, after: first, [compared], number: 2)
            #expect(moved.differing == 8192)
            let checked = try await sites.clientB.checkPoints(
                CheckPoints(relationship: sites.relationship, replacedBy: second)
            ) { _ in }
            #expect(checked.points.map(\.generation) == [first, second])
            let damage = try #require(checked.points[0].damage)
            // The one was found by its checksum, the other only by the comparison.
            #expect(damage.disks.map(\.bytes) == [8192])
            #expect(damage.disks.first?.ranges == [[(3 << 20) + 8192, 4096], [9 << 20, 4096]])
            #expect(checked.points[1].damage == nil && sealed.number == 2)
            #expect(try await sites.atB(second, "vda", equals: image))
            #expect(try await sites.clientB.points(relationship: sites.relationship).first?.damage == damage)
        }
    }

    @Test("checksums come with the first copy in legs too, also where a leg was cut short")
    func legs() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 12)
            func open(_ generation: String) async throws -> PointTicket {
                try await sites.clientB.openPoint(
                    OpenPoint(
                        relationship: sites.relationship, vm: sites.vm, generation: generation, previous: nil,
                        disks: [DiskGeometry(target: "vda", size: 12 << 20)], inLegs: true))
            }
            func send(_ ticket: PointTicket) async throws -> TransferSummary {
                var disk = SourceDisk.stopped(image, mebibytes: 12, .everything)
                disk.leg = LegStart(frontier: ticket.base?["vda"]?.frontier ?? 0)
                return try await sites.clientA.sendPoint(
                    SendPoint(ticket: ticket, disks: [disk], limits: LegLimits(seconds: 600))
                ) { _ in }
            }
            let one = try await send(open(first))
            try await sites.clientB.endLeg(
                EndLeg(
                    relationship: sites.relationship, generation: first, checksums: one.checksums,
                    frontiers: ["vda": 6 << 20], bytes: one.bytes, checkpoint: nil))
            // A leg that changes what is below the frontier, and is never ended.
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 64k", image.path)
            _ = try await send(open(second))
            try await sites.clientB.abandonPoint(relationship: sites.relationship, generation: second)
            let last = try await send(open(third))
            try await sites.clientB.endLeg(
                EndLeg(
                    relationship: sites.relationship, generation: third, checksums: last.checksums,
                    frontiers: last.leg?.frontiers ?? [:], bytes: last.bytes, checkpoint: nil))
            _ = try await sites.seal(third, last.checksums)
            #expect(try await sites.atB(third, "vda", equals: image))
            let checked = try await sites.clientB.checkPoints(CheckPoints(relationship: sites.relationship)) { _ in }
            #expect(checked.points.map(\.damage) == [nil] && checked.unrecorded.isEmpty)
        }
    }

    @Test("a check that is given up ends, and leaves nothing behind")
    func cancelled() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 24)
            try await sites.cycle(first, after: nil, [.stopped(image, mebibytes: 24, .everything)])
            let task = Task {
                try await sites.clientB.checkPoints(CheckPoints(relationship: sites.relationship)) { _ in }
            }
            task.cancel()
            _ = await task.result
            let again = try await sites.clientB.checkPoints(CheckPoints(relationship: sites.relationship)) { _ in }
            #expect(again.points.map(\.damage) == [nil])
        }
    }
}

@Suite("What the former owner's disks hold besides is listed and can be read")
struct AgentDivergenceTests {
    @Test("diverged blocks are listed and written out as they are, until a failover to that side is committed")
    func divergence() async throws {
        try await TwoSites.with { sites in
            let (first, second) = (TwoSites.generation(1), TwoSites.generation(2))
            let image = try await sites.makeImage("new", mebibytes: 24)
            // The former owner's disk has blocks of its own.
            let former = DiskImage(path: sites.file("former.qcow2"), format: "qcow2")
            try FileManager.default.copyItem(atPath: image.path, toPath: former.path)
            try await runTool(
                "qemu-io", "-f", "qcow2", "-c", "write -P 11 5M 64k", "-c", "write -z 6M 64k", former.path)
            let request = { (action: DivergenceRequest.Action) in
                DivergenceRequest(relationship: sites.relationship, action: action)
            }
            let at = Timestamp(milliseconds: 1_700_000_000_000)
            try await sites.clientB.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: 24 << 20, image: former)])
            let diverged = [
                ByteRange(offset: 5 << 20, length: 64 << 10), ByteRange(offset: 6 << 20, length: 64 << 10),
            ]
            let noted = try await sites.clientB.divergence(
                request(.note(epoch: 2, at: at, ranges: ["vda": diverged])))
            #expect(noted?.disks.map(\.ranges) == [diverged] && noted?.isExact == true && noted?.at == at)
            // Repeated for the epoch it stays as it is.
            #expect(try await sites.clientB.divergence(request(.note(epoch: 2, at: at, ranges: nil))) == noted)

            try await sites.cycle(first, after: nil, [.stopped(image, mebibytes: 24, .differing)])
            #expect(try await sites.atB(first, "vda", equals: image))
            let listed = try #require(try await sites.clientB.divergence(request(.list)))
            #expect(listed == noted && listed.disks.first?.image.path == former.path)

            let exported = try await sites.clientB.divergence(request(.export(folder: sites.file("out"))))
            let path = try #require(exported?.disks.first?.exported)
            let raw = try ImageFile(reading: path)
            #expect(try raw.length() == 24 << 20)
            // The judge: copied over the new owner's disk, it gives the former owner's.
            let merged = sites.file("merged.raw")
            try await runTool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.path, merged)
            let target = try ImageFile(updating: merged)
            for range in diverged {
                try target.copy(from: raw, at: range.offset, to: range.offset, length: range.length)
            }
            let compared = try await runTool("qemu-img", "compare", "-f", "raw", "-F", "qcow2", merged, former.path)
            #expect(compared.contains("identical"))
            #expect(
                await code { _ = try await sites.clientB.divergence(request(.export(folder: sites.file("out")))) }
                    == .invalidArgument)
            #expect(
                await code { _ = try await sites.clientB.divergence(request(.export(folder: "relative"))) }
                    == .invalidArgument)

            // Points come and go, and it stays; a failover to here that is committed ends it.
            try await sites.cycle(second, after: first, [.stopped(image, mebibytes: 24, .differing)], number: 2)
            _ = try await sites.clientB.keepPoints(relationship: sites.relationship, keeping: [second], pinned: [])
            #expect(try await sites.clientB.divergence(request(.list)) == noted)
            try await sites.clientB.dropPoints(relationship: sites.relationship, allBut: second)
            #expect(try await sites.clientB.divergence(request(.list)) == nil)
        }
    }

    @Test(
        "where nobody knows what diverged, it is among what the first reversed point has replaced; given up, it is gone"
    )
    func unknown() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("new", mebibytes: 12)
            let former = DiskImage(path: sites.file("former.qcow2"), format: "qcow2")
            try FileManager.default.copyItem(atPath: image.path, toPath: former.path)
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 11 5M 64k", former.path)
            let request = { (action: DivergenceRequest.Action) in
                DivergenceRequest(relationship: sites.relationship, action: action)
            }
            let at = Timestamp(milliseconds: 1_700_000_000_000)
            try await sites.clientB.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: 12 << 20, image: former)])
            _ = try await sites.clientB.divergence(request(.note(epoch: 2, at: at, ranges: nil)))
            try await sites.cycle(TwoSites.generation(1), after: nil, [.stopped(image, mebibytes: 12, .differing)])
            let listed = try #require(try await sites.clientB.divergence(request(.list)))
            #expect(!listed.isExact)
            #expect(listed.disks.map(\.ranges) == [[ByteRange(offset: 5 << 20, length: 64 << 10)]])
            #expect(try await sites.clientB.divergence(request(.discard)) == nil)
            #expect(try await sites.clientB.divergence(request(.list)) == nil)
        }
    }

    @Test("the way back of a 20 GiB disk of which 1 % changed moves about 1 %")
    func reverse() async throws {
        try await TwoSites.with { sites in
            let mebibytes = 20 << 10
            let former = DiskImage(path: sites.file("former.qcow2"), format: "qcow2")
            let new = DiskImage(path: sites.file("new.qcow2"), format: "qcow2")
            for image in [former, new] {
                try await runTool("qemu-img", "create", "-f", "qcow2", image.path, "\(mebibytes)M")
            }
            try await runTool("qemu-img", "bitmap", "--add", former.path, "since")
            try await runTool("qemu-img", "bitmap", "--add", new.path, "boot")
            // Half a percent at either side, 64 KiB here and there; at the former owner what the other side has not.
            let pieces = mebibytes * 16 / 200
            func scatter(_ image: DiskImage, _ pattern: Int, _ shift: Int) async throws {
                for from in stride(from: 0, to: pieces, by: 400) {
                    let commands = (from..<min(from + 400, pieces)).flatMap {
                        ["-c", "write -P \(pattern) \(($0 * 200 + shift) * 64)k 64k"]
                    }
                    let done = try await Program.result(of: ["qemu-io", "-f", "qcow2"] + commands + [image.path])
                    #expect(done.status == 0)
                }
            }
            try await scatter(former, 3, 0)
            try await scatter(new, 4, 100)
            try await sites.clientB.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: UInt64(mebibytes) << 20, image: former)])
            let also = try #require(try await sites.clientB.changedExtents(image: former, bitmap: "since"))
            let disk = SourceDisk.stopped(new, mebibytes: mebibytes, .changed(bitmap: "boot", also: also))
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            let proxy = try FrameProxy(to: ticket.address, bytesPerSecond: .infinity)
            defer { proxy.end() }
            ticket.address = proxy.address
            let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk], compresses: false)) {
                _ in
            }
            _ = try await sites.seal(TwoSites.generation(1), moved.checksums)
            let changed = UInt64(2 * pieces) << 16
            let wire = UInt64(proxy.counts.forth + proxy.counts.back)
            print(
                "reverse of \(mebibytes) MiB, \(changed >> 20) MiB changed on both sides together: \(moved.bytes >> 20) MiB",
                "of content, \(wire >> 20) MiB on the wire (\(Double(wire) * 100 / Double(UInt64(mebibytes) << 20)) %),",
                "\(moved.scanned >> 20) MiB looked at, \(moved.seconds) s")
            // What the former owner wrote where the new one has nothing travels as zeros.
            #expect(moved.bytes <= changed * 12 / 10)
            #expect(wire <= changed * 12 / 10)
            #expect(moved.scanned <= changed * 12 / 10)
            #expect(try await sites.atB(TwoSites.generation(1), "vda", equals: new))
        }
    }
}
