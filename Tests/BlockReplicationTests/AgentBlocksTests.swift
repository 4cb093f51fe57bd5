import Foundation
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Of a dirty granule only the blocks travel that the target has not got")
struct AgentBlocksTests {
    private let g = (1...5).map { TwoSites.generation($0) }
    private static let mebibytes = 24

    /// Writes of a guest, spread over a disk: what they are called, and the commands for qemu-io.
    struct Load: Sendable, CustomTestStringConvertible {
        var name: String
        var writes: Int
        var blocks: ClosedRange<UInt64>
        /// One in so many writes zeros.
        var zeros: Int
        /// Writes of one sector somewhere in a block.
        var isSectors = false
        var testDescription: String { name }
    }

    static let loads: [Load] = [
        .init(name: "single blocks", writes: 150, blocks: 1...1, zeros: 1000),
        .init(name: "single sectors", writes: 150, blocks: 1...1, zeros: 1000, isSectors: true),
        .init(name: "a few blocks here and there, zeros among them", writes: 120, blocks: 1...5, zeros: 4),
        .init(name: "long runs", writes: 25, blocks: 20...60, zeros: 8),
        .init(name: "one block", writes: 1, blocks: 1...1, zeros: 1000),
    ]

    /// Makes the writes, and returns how many bytes of the disk have changed to something other than zeros, in whole blocks.
    private func change(_ image: DiskImage, _ load: Load, seed: UInt64) async throws -> UInt64 {
        var generator = SeededGenerator(seed: seed)
        var commands: [String] = []
        var changed = ExtentMap()
        let total = UInt64(Self.mebibytes) << 8
        for _ in 0..<load.writes {
            let length = UInt64.random(in: load.blocks, using: &generator)
            let offset = UInt64.random(in: 0...total - length, using: &generator) << 12
            let isZero = Int.random(in: 0..<load.zeros, using: &generator) == 0
            // Never what was there before: each seed has its own patterns.
            let pattern = isZero ? 0 : 1 + (seed &* 41 &+ UInt64.random(in: 0..<20, using: &generator)) % 255
            changed.insert(Extent(offset: offset, length: length << 12, isZero: isZero))
            if load.isSectors {
                let sector = UInt64.random(in: 0..<8, using: &generator) << 9
                commands += ["-c", "write -P \(pattern) \(offset + sector) 512"]
            } else {
                commands += ["-c", "write -P \(pattern) \(offset) \(length << 12)"]
            }
        }
        let words = ["qemu-io", "-f", image.format] + commands + [image.path]
        let result = try await Program.result(of: words)
        guard result.status == 0 else { throw ProgramFailed(words: words, said: result.output + result.errors) }
        return changed.dataByteCount
    }

    /// Sends a point through the proxy and seals it.
    private func cycle(
        _ sites: TwoSites, _ generation: String, after previous: String?, _ disk: SourceDisk,
        alter: @escaping FrameProxy.Alter = { _, _ in }
    ) async throws -> (moved: TransferSummary, counts: FrameProxy.Counts) {
        var ticket = try await sites.open(generation, after: previous, [disk])
        let proxy = try FrameProxy(to: ticket.address, alter: alter)
        defer { proxy.end() }
        ticket.address = proxy.address
        let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
        _ = try await sites.seal(generation, moved.checksums)
        return (moved, proxy.counts)
    }

    private func prepared(_ sites: TwoSites) async throws -> (image: DiskImage, disk: SourceDisk) {
        let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes, bitmap: "b")
        try await sites.cycle(g[0], after: nil, [.stopped(image, mebibytes: Self.mebibytes, .everything)])
        return (image, .stopped(image, mebibytes: Self.mebibytes, .changed(bitmap: "b", also: [])))
    }

    @Test("random changes: at most 1.2 bytes cross the network, both ways, for each that changed", arguments: loads)
    func bytesSent(_ load: Load) async throws {
        try await TwoSites.with { sites in
            var (image, disk) = try await prepared(sites)
            for number in 1...2 {
                let changed = try await change(image, load, seed: UInt64(number))
                let (moved, counts) = try await cycle(sites, g[number], after: g[number - 1], disk)
                #expect(moved.bytes <= changed)
                let fixed = 768  // hello, key, end and the like
                let ratio = Double(counts.forth + counts.back - fixed) / Double(changed)
                #expect(ratio <= 1.2, "\(counts.forth) bytes forth, \(counts.back) back, for \(changed)")
                #expect(try await sites.atB(g[number], "vda", equals: image))
                let store = try #require(try await sites.b.service.stores.existing(sites.relationship))
                for layer in try await store.chain(of: .point(g[number]), target: "vda") {
                    try await QemuImg.check(layer)
                }
                // The next cycle's bitmap begins here.
                try await runTool("qemu-img", "bitmap", "--add", image.path, "b\(number)")
                disk.extents = .changed(bitmap: "b\(number)", also: [])
            }
        }
    }

    @Test("what was rewritten with what the target has travels no more; points stay whole when merged")
    func rewritten() async throws {
        try await TwoSites.with { sites in
            let (image, disk) = try await prepared(sites)
            _ = try await change(image, Self.loads[0], seed: 7)
            let first = try await cycle(sites, g[1], after: g[0], disk)
            #expect(first.moved.bytes > 0)
            // The bitmap marks the same blocks again: the newest point has all of them.
            let second = try await cycle(sites, g[2], after: g[1], disk)
            #expect(second.moved.bytes == 0 && second.counts.kinds[.zero] == nil)
            #expect(second.moved.scanned >= 64 << 10)
            _ = try await change(image, Self.loads[2], seed: 8)
            _ = try await cycle(sites, g[3], after: g[2], disk)
            _ = try await sites.clientB.keepPoints(relationship: sites.relationship, keeping: [g[3]], pinned: [])
            _ = try await change(image, Self.loads[2], seed: 9)
            _ = try await cycle(sites, g[4], after: g[3], disk)
            #expect(try await sites.atB(g[4], "vda", equals: image))
        }
    }

    @Test("no bitmap: inside blocks that differ by hash only the changed 4 KiB travel")
    func differing() async throws {
        try await TwoSites.with { sites in
            var (image, disk) = try await prepared(sites)
            let changed = try await change(image, Self.loads[0], seed: 3)
            disk.extents = .differing
            let (moved, _) = try await cycle(sites, g[1], after: g[0], disk)
            #expect(moved.bytes <= changed)
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("points on a disk that the target itself used to write: another program's image beneath ours")
    func foreignBase() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: Self.mebibytes, bitmap: "b")
            let former = DiskImage(path: sites.file("former.qcow2"), format: "qcow2")
            try await runTool("cp", image.path, former.path)
            try await sites.clientB.adoptDisks(
                relationship: sites.relationship, vm: sites.vm,
                disks: [AdoptedDisk(target: "vda", size: UInt64(Self.mebibytes) << 20, image: former)])
            let disk = SourceDisk.stopped(image, mebibytes: Self.mebibytes, .changed(bitmap: "b", also: []))
            var sum: UInt64 = 0
            for number in 0...2 {
                sum += try await change(image, Self.loads[0], seed: UInt64(20 + number))
                let (moved, _) = try await cycle(sites, g[number], after: number == 0 ? nil : g[number - 1], disk)
                #expect(moved.bytes <= sum)
                #expect(try await sites.atB(g[number], "vda", equals: image))
            }
        }
    }

    @Test("a receiver of an older version is asked nothing: whole granules travel")
    func olderReceiver() async throws {
        try await TwoSites.with { sites in
            let (image, disk) = try await prepared(sites)
            let changed = try await change(image, Self.loads[0], seed: 4)
            let (moved, counts) = try await cycle(sites, g[1], after: g[0], disk) { header, _ in
                if header.kind == .welcome { header.offset = 0 }
            }
            #expect(counts.kinds[.blockRequest] == nil && counts.kinds[.hashKey] == nil)
            #expect(moved.bytes > 2 * changed)
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("a sender that does not ask is served as ever")
    func olderSender() async throws {
        var limits = AgentLimits()
        limits.comparesBlocks = false
        try await TwoSites.with(limits: limits) { sites in
            let (image, disk) = try await prepared(sites)
            _ = try await change(image, Self.loads[0], seed: 5)
            let (_, counts) = try await cycle(sites, g[1], after: g[0], disk)
            #expect(counts.kinds[.blockRequest] == nil)
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("answers that are wrong, or none, cost bytes and nothing else", arguments: ["wrong", "none"])
    func wrongAnswers(kind: String) async throws {
        try await TwoSites.with { sites in
            let (image, disk) = try await prepared(sites)
            let changed = try await change(image, Self.loads[0], seed: 6)
            let (moved, _) = try await cycle(sites, g[1], after: g[0], disk) { header, payload in
                guard header.kind == .blockReply else { return }
                if kind == "none" { payload = [] }
                for at in payload.indices { payload[at] ^= 0x5A }
            }
            #expect(moved.bytes > changed)
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("an answer of another size than was asked for, or a bit turned in one, ends the transfer")
    func brokenAnswers() async throws {
        try await TwoSites.with { sites in
            let (image, disk) = try await prepared(sites)
            _ = try await change(image, Self.loads[0], seed: 6)
            let short = await code {
                _ = try await cycle(sites, g[1], after: g[0], disk) { header, payload in
                    if header.kind == .blockReply { payload.removeLast(16) }
                }
            }
            #expect(short == .protocolViolation)
            let unasked = await code {
                _ = try await cycle(sites, g[1], after: g[0], disk) { header, _ in
                    if header.kind == .ack { header.kind = .blockReply }
                }
            }
            #expect(unasked == .protocolViolation)
            var ticket = try await sites.open(g[1], after: g[0], [disk])
            // The welcome takes 32 bytes; what follows is the first answer.
            let proxy = try FaultyProxy(to: ticket.address, .flipBack(at: 5000))
            defer { proxy.end() }
            ticket.address = proxy.address
            let turned = await code {
                _ = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
            }
            #expect(turned == .checksumMismatch)
            try await sites.cycle(g[1], after: g[0], [disk])
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("a newest point that cannot be read costs bytes, and the next point is whole where it was sent")
    func unreadableNewest() async throws {
        try await TwoSites.with { sites in
            let (image, disk) = try await prepared(sites)
            _ = try await change(image, Self.loads[0], seed: 6)
            let store = try #require(try await sites.b.service.stores.existing(sites.relationship))
            let base = store.path + "/base-vda.raw"
            let ticket = try await sites.open(g[1], after: g[0], [disk])
            try FileManager.default.moveItem(atPath: base, toPath: base + ".away")
            let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
            try FileManager.default.moveItem(atPath: base + ".away", toPath: base)
            _ = try await sites.seal(g[1], moved.checksums)
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }

    @Test("a sender that asks much and goes without reading ends its own transfer only", arguments: [true, false])
    func senderGoes(asksBlocks: Bool) async throws {
        try await TwoSites.with { sites in
            let (image, disk) = try await prepared(sites)
            for _ in 0..<5 {
                let ticket = try await sites.open(g[1], after: g[0], [disk])
                let token = try #require(Hexadecimal.decode(ticket.token))
                try await onThread("test-asker") {
                    let channel = WireChannel(
                        try StreamSocket.connect(
                            to: SocketAddress(ticket.address), interrupt: Interrupt(), timeoutSeconds: 5))
                    let hello = WireHello(
                        token: token, relationship: ticket.relationship, generation: ticket.generation, disk: "vda")
                    try hello.encoded().withUnsafeBytes { try channel.send(.hello, $0) }
                    try randomBytes(KeyedHasher.keySize).withUnsafeBytes { try channel.send(.hashKey, $0) }
                    let range = ByteRange(offset: 0, length: 16 << 20)
                    // More answers than the sockets hold, and frames behind that the receiver has not read.
                    for _ in 0..<200 {
                        if asksBlocks {
                            try BlockQuestion.encode([range]).withUnsafeBytes { try channel.send(.blockRequest, $0) }
                        } else {
                            try channel.send(.hashRequest, offset: 0, length: range.length)
                        }
                    }
                    channel.socket.shutDown()
                }
            }
            try await sites.cycle(g[1], after: g[0], [disk])
            #expect(try await sites.atB(g[1], "vda", equals: image))
        }
    }
}
