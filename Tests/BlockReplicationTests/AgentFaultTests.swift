import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A transfer that fails leaves earlier points whole, and the next one works")
struct AgentFaultTests {
    private let g = (1...4).map { TwoSites.generation($0) }

    /// One point is whole at B; the disk has changed since.
    private func prepared(_ sites: TwoSites) async throws -> (image: DiskImage, old: DiskImage, disks: [SourceDisk]) {
        let image = try await sites.makeImage("disk", mebibytes: 32, bitmap: "b")
        try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: 32, .everything)])
        let old = DiskImage(path: sites.file("old.qcow2"), format: "qcow2")
        try await runTool("cp", image.path, old.path)
        try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 8M", image.path)
        return (image, old, [.stopped(image, mebibytes: 32, .changed(bitmap: "b", also: []))])
    }

    /// Nothing of the failed point is left, the earlier one is as it was, and the same cycle now works.
    private func recovers(_ sites: TwoSites, _ image: DiskImage, _ old: DiskImage, _ disks: [SourceDisk]) async throws {
        #expect(await code { _ = try await sites.seal(g[1], [:]) } != nil)
        #expect(try await sites.clientB.points(relationship: sites.relationship).map(\.generation) == [g[0]])
        #expect(try await sites.atB(g[0], "vda", equals: old))
        try await sites.cycle(g[1], after: g[0], disks)
        #expect(try await sites.atB(g[1], "vda", equals: image))
        #expect(try await sites.atB(g[0], "vda", equals: old))
    }

    private func partFiles(_ store: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: store).filter { $0.hasSuffix(".part") }
    }

    @Test(
        "a bit that turns on its way is found, wherever it is",
        arguments: [20, 90, 200, 300, 5000, 300_000, 2_000_000])
    func flippedBit(position: Int) async throws {
        try await TwoSites.with { sites in
            let (image, old, disks) = try await prepared(sites)
            var ticket = try await sites.open(g[1], after: g[0], disks)
            let proxy = try FaultyProxy(to: ticket.address, .flip(at: position))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: disks)
            let thrown = await code { _ = try await sites.clientA.sendPoint(request) { _ in } }
            #expect(thrown == .checksumMismatch || thrown == .protocolViolation)
            try await recovers(sites, image, old, disks)
        }
    }

    @Test("a connection that breaks ends both sides", arguments: [1000, 1_000_000])
    func cutConnection(after: Int) async throws {
        try await TwoSites.with { sites in
            let (image, old, disks) = try await prepared(sites)
            var ticket = try await sites.open(g[1], after: g[0], disks)
            let proxy = try FaultyProxy(to: ticket.address, .cut(after: after))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: disks)
            #expect(await code { _ = try await sites.clientA.sendPoint(request) { _ in } } == .disconnected)
            #expect(try await eventually { try partFiles(sites.file("b/store")).isEmpty })
            try await recovers(sites, image, old, disks)
        }
    }

    @Test("a client that goes away takes its transfer with it, and the receiver throws away what came")
    func clientGoes() async throws {
        try await TwoSites.with { sites in
            let (image, old, disks) = try await prepared(sites)
            var ticket = try await sites.open(g[1], after: g[0], disks)
            let proxy = try FaultyProxy(to: ticket.address, .stall(after: 500_000))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: disks)
            let engine = AgentClient(controlSocket: sites.file("a/control"))
            async let sending = code { _ = try await engine.sendPoint(request) { _ in } }
            #expect(await eventually { proxy.hasStalled })
            engine.close()
            #expect(await sending == .disconnected)
            #expect(try await eventually { try partFiles(sites.file("b/store")).isEmpty })
            try await recovers(sites, image, old, disks)
        }
    }

    @Test("a cancelled transfer ends at both sides and says that it was cancelled")
    func cancelled() async throws {
        try await TwoSites.with { sites in
            let (image, old, disks) = try await prepared(sites)
            var ticket = try await sites.open(g[1], after: g[0], disks)
            let proxy = try FaultyProxy(to: ticket.address, .stall(after: 500_000))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: disks)
            let task = Task { await code { _ = try await sites.clientA.sendPoint(request) { _ in } } }
            #expect(await eventually { proxy.hasStalled })
            task.cancel()
            #expect(await task.value == .cancelled)
            #expect(try await eventually { try partFiles(sites.file("b/store")).isEmpty })
            try await recovers(sites, image, old, disks)
        }
    }

    @Test("a wrong, used or foreign ticket is refused and harms nothing")
    func tickets() async throws {
        try await TwoSites.with { sites in
            let (image, _, disks) = try await prepared(sites)
            let ticket = try await sites.open(g[1], after: g[0], disks)
            func send(_ change: (inout PointTicket) -> Void, _ disks: [SourceDisk]) async -> ReplicationError.Code? {
                var changed = ticket
                change(&changed)
                let request = SendPoint(ticket: changed, disks: disks)
                return await code { _ = try await sites.clientA.sendPoint(request) { _ in } }
            }
            let wrong = String(repeating: "0", count: 64)
            #expect(await send({ $0.token = wrong }, disks) == .notAuthorized)
            #expect(await send({ $0.token = "zz" }, disks) == .invalidArgument)
            #expect(await send({ $0.relationship = "other" }, disks) == .notAuthorized)
            #expect(await send({ $0.generation = g[3] }, disks) == .notAuthorized)
            var other = disks
            other[0].target = "vdz"
            #expect(await send({ _ in }, other) == .notAuthorized)
            #expect(await send({ _ in }, disks) == nil, "the right ticket is still good")
            #expect(await send({ _ in }, disks) == .notAuthorized, "for one transfer")
            let moved = try #require(sites.b.service.incoming[sites.relationship]).checksums()
            #expect(await code { _ = try await sites.seal(g[1], ["vda": wrong]) } == .checksumMismatch)
            let sealed = try await sites.seal(g[1], moved)
            #expect(try await sites.seal(g[1], moved) == sealed, "asked again, the same")
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("opened again, a point's earlier attempt is thrown away; two engines at once end with one good ticket")
    func openedTwice() async throws {
        try await TwoSites.with { sites in
            let (image, _, disks) = try await prepared(sites)
            async let one = sites.open(g[1], after: g[0], disks)
            async let two = sites.open(g[1], after: g[0], disks)
            let tickets = try await [one, two]
            var good = 0
            for ticket in tickets {
                let request = SendPoint(ticket: ticket, disks: disks)
                if await code({ _ = try await sites.clientA.sendPoint(request) { _ in } }) == nil { good += 1 }
            }
            #expect(good == 1)
            _ = try await sites.seal(g[1], try #require(sites.b.service.incoming[sites.relationship]).checksums())
            #expect(try await sites.atB(g[1], "vda", equals: image))
            #expect(await code { _ = try await sites.open(g[2], after: g[0], disks) } == .staleParent)
        }
    }

    @Test("a full target costs the cycle and nothing else")
    func fullTarget() async throws {
        let mount = try Scratch()
        do { try await runTool("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", mount.path) } catch {
            print("full target not tested: mounting a tmpfs needs root")
            return
        }
        defer { _ = umount2(mount.path, Int32(MNT_DETACH)) }
        try await TwoSites.with(storeB: mount("store")) { sites in
            let (image, old, disks) = try await prepared(sites)
            let filler = mount("filler")
            let free = try await sites.clientB.status().freeBytes
            try Data(repeating: 1, count: Int(free) - (2 << 20)).write(to: URL(fileURLWithPath: filler))
            let ticket = try await sites.open(g[1], after: g[0], disks)
            let request = SendPoint(ticket: ticket, disks: disks)
            do {
                _ = try await sites.clientA.sendPoint(request) { _ in }
                Issue.record("8 MiB went into 2")
            } catch let error as ReplicationError {
                #expect(error.code == .noSpace)
                #expect(error.hint.contains("free space"))
            }
            #expect(try await eventually { try partFiles(mount("store")).isEmpty })
            try FileManager.default.removeItem(atPath: filler)
            // Room for the whole point only because the first attempt has been thrown away.
            try await recovers(sites, image, old, Array(disks))
        }
    }

    @Test("a point made under an ownership that is over is not sealed")
    func staleEpochs() async throws {
        try await TwoSites.with { sites in
            let (_, _, disks) = try await prepared(sites)
            func record(_ owner: String, _ epoch: Int) async -> ReplicationError.Code? {
                await code {
                    try await sites.clientB.recordOwnership(
                        OwnershipRecord(
                            relationship: sites.relationship, vmUUID: sites.vm.uuid, owner: owner, epoch: epoch))
                }
            }
            #expect(try await sites.clientB.ownership(relationship: sites.relationship) == nil)
            #expect(await record("a", 1) == nil)
            #expect(await record("a", 1) == nil, "the same again")
            #expect(await record("b", 1) == .staleEpoch)
            let ticket = try await sites.open(g[1], after: g[0], disks)
            let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: disks)) { _ in }
            #expect(await record("b", 2) == nil)
            #expect(await record("a", 1) == .staleEpoch)
            #expect(try await sites.clientB.ownership(relationship: sites.relationship)?.owner == "b")
            #expect(await code { _ = try await sites.seal(g[1], moved.checksums, epoch: 1) } == .staleEpoch)
            #expect(await code { _ = try await sites.clientB.ownership(relationship: "../x") } == .invalidArgument)
            let path = sites.file("b/store/ownership/\(sites.relationship).json")
            try Data("{".utf8).write(to: URL(fileURLWithPath: path))
            #expect(await record("b", 3) == .damaged, "an owner is never guessed")
        }
    }
}
