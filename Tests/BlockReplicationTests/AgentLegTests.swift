import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A first copy in legs goes on from where the last leg ended, whatever came between")
struct AgentLegTests {
    /// A leg that ends after one piece of 256 KiB of each disk.
    private static let short = LegLimits(seconds: 0)
    private static let long = LegLimits(seconds: 3600)
    private static let mebibytes = 8
    /// What `makeImage` writes: MiB 0, 3 and 6.
    private static let data: UInt64 = 3 << 20

    /// What an engine does for one leg: it opens, sends and ends it, with a bitmap if it names one.
    private struct Leg {
        var base: GrowingBase
        var moved: TransferSummary
    }

    private func open(_ sites: TwoSites, _ number: Int, targets: [String] = ["vda"], mebibytes: Int = mebibytes)
        async throws -> PointTicket
    {
        try await sites.clientB.openPoint(
            OpenPoint(
                relationship: sites.relationship, vm: sites.vm, generation: TwoSites.generation(number), previous: nil,
                disks: targets.map { DiskGeometry(target: $0, size: UInt64(mebibytes) << 20) }, inLegs: true))
    }

    private func send(
        _ sites: TwoSites, _ ticket: PointTicket, _ images: [String: DiskImage], _ limits: LegLimits,
        bitmap: String? = nil, marked: Bool = false
    ) async throws -> TransferSummary {
        let base = try #require(ticket.base)
        let disks = base.disks.compactMap { disk in
            images[disk.target].map {
                SourceDisk(
                    target: disk.target, size: disk.size, from: .image($0), extents: .everything,
                    leg: LegStart(
                        frontier: disk.frontier, isTracked: bitmap != nil, bitmap: bitmap,
                        mark: marked ? disk.mark : nil))
            }
        }
        return try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: disks, limits: limits)) { _ in }
    }

    private func end(_ sites: TwoSites, _ number: Int, _ moved: TransferSummary) async throws {
        let leg = try #require(moved.leg)
        try await sites.clientB.endLeg(
            EndLeg(
                relationship: sites.relationship, generation: TwoSites.generation(number), checksums: moved.checksums,
                frontiers: leg.frontiers, marks: leg.marks, bytes: moved.bytes, checkpoint: "c\(number)"))
    }

    private func leg(
        _ sites: TwoSites, _ number: Int, _ image: DiskImage, _ limits: LegLimits = short, bitmap: String? = nil,
        marked: Bool = false
    ) async throws -> Leg {
        let ticket = try await open(sites, number)
        let moved = try await send(sites, ticket, ["vda": image], limits, bitmap: bitmap, marked: marked)
        try await end(sites, number, moved)
        return Leg(base: try #require(ticket.base), moved: moved)
    }

    private func parts(_ sites: TwoSites) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: sites.file("b/store")).filter { $0.hasSuffix(".part") }
    }

    private func isSealed(_ sites: TwoSites, _ number: Int, _ moved: TransferSummary, _ image: DiskImage) async throws {
        _ = try await sites.seal(TwoSites.generation(number), moved.checksums)
        #expect(try await sites.atB(TwoSites.generation(number), "vda", equals: image))
        #expect(try parts(sites).isEmpty)
    }

    @Test("piece by piece, nothing twice, and no point before nothing is missing")
    func pieces() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes)
            var sent: UInt64 = 0
            var frontier: UInt64 = 0
            var number = 0
            while frontier < UInt64(Self.mebibytes) << 20 {
                number += 1
                let done = try await leg(sites, number, image, marked: true)
                #expect(done.base.disks[0].frontier == frontier && done.base.legs == number - 1)
                #expect(done.base.bytes == sent)
                #expect(done.moved.bytes == 256 << 10)
                sent += done.moved.bytes
                frontier = try #require(done.moved.leg?.frontiers["vda"])
                if frontier < UInt64(Self.mebibytes) << 20 {
                    #expect(try await sites.clientB.points(relationship: sites.relationship).isEmpty)
                    let generation = TwoSites.generation(number)
                    #expect(await code { _ = try await sites.seal(generation, done.moved.checksums) } == .notFound)
                } else {
                    try await isSealed(sites, number, done.moved, image)
                }
            }
            #expect(number == 12 && sent == Self.data, "three MiB in pieces of a quarter")
            let store = try #require(try await sites.b.service.stores.existing(sites.relationship))
            #expect(await store.manifest.growing == nil)
        }
    }

    @Test("what changed below the frontier travels again, by its bitmap; zeros over data too")
    func changes() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes, bitmap: "c")
            for number in 1...5 { _ = try await leg(sites, number, image, bitmap: "c") }
            // Below the frontier (in MiB 3 now) data, zeros, and a hole; beyond it data.
            try await runTool(
                "qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", "-c", "write -z 128k 64k", "-c",
                "discard 512k 64k", "-c", "write -P 8 5M 64k", image.path)
            let last = try await leg(sites, 6, image, Self.long, bitmap: "c")
            #expect(last.base.disks[0].frontier > 3 << 20)
            #expect(last.moved.leg?.renewed == 64 << 10)
            #expect(last.moved.bytes == Self.data - last.base.bytes + (128 << 10))
            try await isSealed(sites, 6, last.moved, image)
        }
    }

    @Test(
        "without a bitmap both sides are compared below the frontier; a file that nothing wrote is not even read there")
    func comparing() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes)
            for number in 1...6 { _ = try await leg(sites, number, image) }
            let calm = try await leg(sites, 7, image, marked: true)
            #expect(calm.moved.leg?.renewed == 0 && calm.moved.scanned == 256 << 10)
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 7 200k 4k", image.path)
            let compared = try await leg(sites, 8, image, marked: true)
            #expect(compared.moved.leg?.renewed == 64 << 10, "the block that differs")
            let last = try await leg(sites, 9, image, Self.long)
            #expect(last.moved.bytes == Self.data - 8 * (256 << 10))
            try await isSealed(sites, 9, last.moved, image)
        }
    }

    @Test("a leg whose connection is cut counts for nothing; the next goes on from the leg before")
    func cut() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes)
            for number in 1...3 { _ = try await leg(sites, number, image) }
            var ticket = try await open(sites, 4)
            let proxy = try FaultyProxy(to: ticket.address, .cut(after: 1_000_000))
            defer { proxy.end() }
            ticket.address = proxy.address
            let broken = ticket
            #expect(
                await code { _ = try await send(sites, broken, ["vda": image], Self.long) } == .disconnected)
            let last = try await leg(sites, 5, image, Self.long, marked: true)
            #expect(last.base.legs == 3 && last.moved.bytes == Self.data - 3 * (256 << 10))
            try await isSealed(sites, 5, last.moved, image)
        }
    }

    @Test("a receiver that is started again has kept the legs, and drops one that came half")
    func receiverRestarts() async throws {
        let sites = try TwoSites()
        do {
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes)
            for number in 1...3 { _ = try await leg(sites, number, image) }
            // Content beyond the frontier that no leg's end speaks for.
            let ticket = try await open(sites, 4)
            _ = try await send(sites, ticket, ["vda": image], Self.long, marked: true)
            await sites.b.stop()
            let part = try #require(try parts(sites).first)
            let file = Glibc.open(sites.file("b/store/\(part)"), O_WRONLY)
            let rubbish = [UInt8](repeating: 9, count: 4096)
            #expect(pwrite(file, rubbish, rubbish.count, off_t(5) << 20) == rubbish.count)
            close(file)
            let again = try AgentServer(
                site: "b", controlSocket: sites.file("b/control"), listen: "127.0.0.1:0",
                store: sites.file("b/store"))
            let next = try await open(sites, 5)
            #expect(next.base?.legs == 3 && next.base?.disks[0].frontier == 3 * (256 << 10))
            let moved = try await send(sites, next, ["vda": image], Self.long, marked: true)
            #expect(moved.bytes == Self.data - 3 * (256 << 10))
            try await end(sites, 5, moved)
            _ = try await sites.seal(TwoSites.generation(5), moved.checksums)
            let base = sites.file("b/store/points/\(sites.relationship)/base-vda.raw")
            let verdict = try await runTool("qemu-img", "compare", "-f", "qcow2", "-F", "raw", image.path, base)
            #expect(verdict.contains("identical"))
            await again.stop()
            await sites.end()
        } catch {
            await sites.end()
            throw error
        }
    }

    @Test("several disks each have their frontier")
    func disks() async throws {
        try await TwoSites.with { sites in
            let images = [
                "vda": try await sites.makeImage("a", mebibytes: Self.mebibytes, seed: 1),
                "vdb": try await sites.makeImage("b", mebibytes: Self.mebibytes, seed: 2),
            ]
            for number in 1...3 {
                let ticket = try await open(sites, number, targets: ["vda", "vdb"])
                try await end(sites, number, try await send(sites, ticket, images, Self.short, marked: true))
            }
            let ticket = try await open(sites, 4, targets: ["vda", "vdb"])
            #expect(ticket.base?.disks.map(\.frontier) == [768 << 10, 768 << 10])
            let moved = try await send(sites, ticket, images, Self.long, marked: true)
            #expect(moved.bytes == 2 * (Self.data - (768 << 10)))
            try await end(sites, 4, moved)
            _ = try await sites.seal(TwoSites.generation(4), moved.checksums)
            for (target, image) in images {
                #expect(try await sites.atB(TwoSites.generation(4), target, equals: image), "disk \(target)")
            }
        }
    }

    @Test("scratch space ends a leg when half of it is used, and gives it up before it is all used")
    func scratch() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes)
            let half = try await leg(sites, 1, image, LegLimits(seconds: 3600, endBelow: .max))
            #expect(half.moved.bytes == 256 << 10)
            var ticket = try await open(sites, 2)
            let proxy = try FaultyProxy(to: ticket.address, .stall(after: 500_000))
            defer { proxy.end() }
            ticket.address = proxy.address
            let stalled = ticket
            let limits = LegLimits(seconds: 3600, endBelow: 0, abortBelow: .max)
            #expect(await code { _ = try await send(sites, stalled, ["vda": image], limits) } == .noScratch)
            #expect(try await open(sites, 3).base?.legs == 1, "what came before stays")
        }
    }

    @Test("comparing ends where scratch space is half used: the copy goes on from there, and nothing is lost")
    func scratchWhileComparing() async throws {
        try await TwoSites.with { sites in
            let image = DiskImage(path: sites.file("disk.qcow2"), format: "qcow2")
            try await runTool("qemu-img", "create", "-f", "qcow2", image.path, "300M")
            try await runTool(
                "qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", "-c", "write -P 2 250M 1M", image.path)
            func leg(_ number: Int, _ limits: LegLimits) async throws -> TransferSummary {
                let ticket = try await open(sites, number, mebibytes: 300)
                let moved = try await send(sites, ticket, ["vda": image], limits)
                try await end(sites, number, moved)
                return moved
            }
            #expect(try await leg(1, Self.short).leg?.frontiers == ["vda": 250 << 20])
            try await runTool(
                "qemu-io", "-f", "qcow2", "-c", "write -P 3 1M 64k", "-c", "write -P 4 100M 64k", image.path)
            let used = try await leg(2, LegLimits(seconds: 3600, endBelow: .max))
            #expect(used.leg?.frontiers == ["vda": BlockHashes.range], "the least that is compared at a time")
            #expect(used.bytes == 64 << 10 && used.leg?.renewed == 64 << 10)
            let last = try await leg(3, Self.long)
            #expect(last.leg?.renewed == 0 && last.bytes == (64 << 10) + (1 << 20))
            try await isSealed(sites, 3, last, image)
        }
    }

    @Test("a leg that wrote below the frontier and was not ended is told of, until one was")
    func mixed() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes)
            for number in 1...5 { _ = try await leg(sites, number, image, marked: true) }
            // Beyond the frontier alone: what lies below is as the last leg left it.
            _ = try await send(sites, try await open(sites, 6), ["vda": image], Self.short, marked: true)
            let clean = try await open(sites, 7)
            #expect(clean.base?.disks[0].isMixed == nil)
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 7 200k 4k", image.path)
            _ = try await send(sites, clean, ["vda": image], Self.short, marked: true)
            let mixed = try await open(sites, 8)
            #expect(mixed.base?.disks[0].isMixed == true)
            #expect(mixed.base?.disks[0].frontier == 5 * (256 << 10) + (2 << 20))
            try await end(sites, 8, try await send(sites, mixed, ["vda": image], Self.short))
            #expect(try await open(sites, 9).base?.disks[0].isMixed == nil)
            let last = try await leg(sites, 10, image, Self.long, marked: true)
            try await isSealed(sites, 10, last.moved, image)
        }
    }

    /// What ends a first copy that is not whole, so that nothing of it is left.
    private enum End: String, CaseIterable, Sendable {
        case forget, forgetOwnership, pointInOneGo, otherDisks
    }

    @Test("one that is given up leaves nothing", arguments: End.allCases)
    private func givenUp(_ way: End) async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes)
            for number in 1...2 { _ = try await leg(sites, number, image) }
            try await sites.clientB.abandonPoint(
                relationship: sites.relationship, generation: TwoSites.generation(2))
            #expect(try parts(sites).count == 1, "between legs it stays")
            switch way {
            case .forget: try await sites.clientB.forget(relationship: sites.relationship)
            case .forgetOwnership: try await sites.clientB.forgetOwnership(relationship: sites.relationship)
            case .pointInOneGo:
                let disks = [SourceDisk.stopped(image, mebibytes: Self.mebibytes, .everything)]
                let whole = try await sites.cycle(TwoSites.generation(9), after: nil, disks)
                #expect(whole.moved.bytes == Self.data)
                #expect(try await sites.atB(TwoSites.generation(9), "vda", equals: image))
                #expect(try parts(sites).isEmpty)
                return
            case .otherDisks:
                let ticket = try await open(sites, 3, mebibytes: 2 * Self.mebibytes)
                #expect(ticket.base?.legs == 0 && ticket.base?.disks[0].frontier == 0)
                return
            }
            #expect(try parts(sites).isEmpty)
            #expect(try await open(sites, 3).base?.legs == 0)
        }
    }
}
