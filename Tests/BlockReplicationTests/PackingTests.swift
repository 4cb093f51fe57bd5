import Foundation
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Content is compressed on its way where that is quicker, and unpacked within bounds")
struct PackingTests {
    private let g = (1...5).map { TwoSites.generation($0) }

    /// Records of 64 bytes as a database has them: 20 are random.
    private static func content(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        let text = Array("a line of a log that is much like the one before it".utf8.prefix(44))
        var bytes: [UInt8] = []
        while bytes.count < count {
            bytes += text
            for _ in 0..<20 { bytes.append(UInt8.random(in: 0...255, using: &generator)) }
        }
        return Array(bytes.prefix(count))
    }

    private func packed(_ bytes: [UInt8]) throws -> [UInt8] {
        let packer = try #require(Packer())
        return try bytes.withUnsafeBytes { Array(try #require(packer.pack($0))) }
    }

    private func unpacked(_ bytes: [UInt8]) throws -> [UInt8] {
        let unpacker = try Unpacker()
        return try bytes.withUnsafeBytes { Array(try unpacker.unpack($0)) }
    }

    @Test("what was packed is unpacked as it was", arguments: [4096, 512 * 3, 65536, 256 << 10, 1 << 20])
    func roundTrip(count: Int) throws {
        let bytes = Self.content(count, seed: UInt64(count))
        let packed = try packed(bytes)
        #expect(packed.count < count * 15 / 16 + 1)
        #expect(try unpacked(packed) == bytes)
    }

    @Test("what does not shrink stays as it is")
    func incompressible() throws {
        var generator = SeededGenerator(seed: 1)
        let bytes = (0..<(256 << 10)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let packer = try #require(Packer())
        #expect(bytes.withUnsafeBytes { packer.pack($0) == nil })
    }

    @Test("a packed piece that was cut, added to or altered is refused")
    func altered() throws {
        let bytes = Self.content(8192, seed: 3)
        let packed = try packed(bytes)
        var generator = SeededGenerator(seed: 4)
        var variants = [[], Array(packed.dropLast()), packed + [0], packed + packed, Array(packed.prefix(6))]
        for _ in 0..<500 {
            var variant = packed
            variant[Int.random(in: 0..<packed.count, using: &generator)] ^=
                1 << UInt8.random(in: 0..<8, using: &generator)
            variants.append(variant)
        }
        for variant in variants {
            // A turned bit may be one that means nothing; then the content is what it was.
            let outcome = Result { try unpacked(variant) }
            switch outcome {
            case .success(let read): #expect(read == bytes)
            case .failure(let error):
                let code = (error as? ReplicationError)?.code
                #expect(code == .protocolViolation || code == .checksumMismatch)
            }
        }
        #expect(throws: ReplicationError.self) { try unpacked(Array(packed.dropLast())) }
    }

    @Test("frames that say no size, none, or more than a frame may hold are refused before anything is unpacked")
    func sizes() throws {
        // RFC 8878: magic, descriptor, then window or content size, and one block of one repeated byte.
        let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
        let repeated: [UInt8] = [0x03 | 0x80, 0x00, 0x00, 0x41]
        for header: [UInt8] in [
            [0x00, 0x00],  // content size not said
            [0xA0, 0x00, 0x00, 0x00, 0x00],  // none
            [0xA0, 0x00, 0x00, 0x00, 0x40],  // 1 GiB
            [0xE0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
        ] {
            let error = #expect(throws: ReplicationError.self) { try unpacked(magic + header + repeated) }
            #expect(error?.code == .protocolViolation)
        }
        // Less than it holds, and more.
        for size: UInt8 in [1, 0x20] {
            #expect(throws: ReplicationError.self) { try unpacked(magic + [0xA0, size, 0, 0, 0] + repeated) }
        }
        #expect(try unpacked(magic + [0xA0, 0x10, 0, 0, 0] + repeated) == [UInt8](repeating: 0x41, count: 16))
    }

    /// A link, and how content gives way to packing.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Bytes a second.
        var network: Double
        var packing: Double
        /// What stays of a byte.
        var ratio: Double
        var isPacked: Bool
    }

    static let cases: [Case] = [
        .init(testDescription: "slow link, text", network: 12e6, packing: 400e6, ratio: 0.4, isPacked: true),
        .init(testDescription: "1 Gbit/s, text", network: 120e6, packing: 400e6, ratio: 0.4, isPacked: true),
        .init(testDescription: "10 Gbit/s, text", network: 1200e6, packing: 400e6, ratio: 0.4, isPacked: false),
        .init(testDescription: "1 Gbit/s, little to gain", network: 120e6, packing: 300e6, ratio: 0.9, isPacked: false),
        .init(testDescription: "slow link, random bytes", network: 12e6, packing: 3000e6, ratio: 1, isPacked: false),
    ]

    @Test("the way that is quicker is taken for nearly all", arguments: cases)
    func gauge(_ link: Case) {
        var gauge = PackingGauge()
        // The socket's buffer holds 2 MiB; a piece waits when it is full. Preparing a piece takes a little, too.
        let (piece, room, preparing) = (256.0 * 1024, 2.0 * 1_048_576, 256.0 * 1024 / 3e9)
        var (now, blocked, queue) = (0.0, 0.0, 0.0)
        var (packed, total) = (0, 0)
        func pass(_ seconds: Double) {
            now += seconds
            queue = max(0, queue - seconds * link.network)
        }
        while now < 20 {
            pass(preparing)
            var wire = piece
            if gauge.wantsPacked(bytes: Int(piece), now: now, blocked: blocked) {
                let seconds = piece / link.packing
                pass(seconds)
                wire = piece * link.ratio
                gauge.packed(Int(piece), into: Int(wire), seconds: seconds)
                packed += 1
            }
            total += 1
            if queue + wire > room {
                let wait = (queue + wire - room) / link.network
                pass(wait)
                blocked += wait
            }
            queue += wire
        }
        let part = Double(packed) / Double(total)
        #expect(link.isPacked ? part > 0.9 : part < 0.1, "\(part) of the pieces were packed")
    }

    @Test("points are the same when all that can be is packed, and fewer bytes travel")
    func always() async throws {
        try await TwoSites.with(limits: Self.packing) { sites in
            let (image, disk) = try await compressibleDisk(sites)
            var sent = 0
            for (number, generation) in g.enumerated() {
                var ticket = try await sites.open(generation, after: number == 0 ? nil : g[number - 1], [disk])
                let proxy = try FrameProxy(to: ticket.address)
                defer { proxy.end() }
                ticket.address = proxy.address
                let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
                _ = try await sites.seal(generation, moved.checksums)
                #expect(try await sites.atB(generation, "vda", equals: image))
                #expect(proxy.counts.kinds[.packed, default: 0] > 0 || moved.bytes == 0)
                if number == 0 { #expect(proxy.counts.forth < Int(moved.bytes) * 2 / 3) }
                sent += Int(moved.bytes)
                try await runTool("qemu-io", "-f", "raw", "-c", "write -P \(number + 5) \(number)M 68k", image.path)
            }
            #expect(sent > 8 << 20)
        }
    }

    @Test("a receiver that does not say that it unpacks is sent content as it is")
    func olderReceiver() async throws {
        try await TwoSites.with(limits: Self.packing) { sites in
            let (image, disk) = try await compressibleDisk(sites)
            var ticket = try await sites.open(g[0], after: nil, [disk])
            let proxy = try FrameProxy(
                to: ticket.address,
                alter: { header, _ in
                    if header.kind == .welcome { header.offset = 0 }
                })
            defer { proxy.end() }
            ticket.address = proxy.address
            let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
            _ = try await sites.seal(g[0], moved.checksums)
            #expect(proxy.counts.kinds[.packed] == nil)
            #expect(try await sites.atB(g[0], "vda", equals: image))
        }
    }

    @Test("content travels as it is where it is asked for so, whatever the agent would do")
    func askedNot() async throws {
        try await TwoSites.with(limits: Self.packing) { sites in
            let (_, disk) = try await compressibleDisk(sites)
            for (number, compresses) in [false, true].enumerated() {
                var ticket = try await sites.open(g[number], after: nil, [disk])
                let proxy = try FrameProxy(to: ticket.address)
                defer { proxy.end() }
                ticket.address = proxy.address
                let request = SendPoint(ticket: ticket, disks: [disk], compresses: compresses)
                _ = try await sites.clientA.sendPoint(request) { _ in }
                #expect((proxy.counts.kinds[.packed, default: 0] > 0) == compresses)
                try await sites.clientB.abandonPoint(relationship: sites.relationship, generation: g[number])
            }
        }
    }

    @Test("packed content that lies about its size, or about its place, ends the transfer", arguments: [0, 1, 2])
    func liars(kind: Int) async throws {
        try await TwoSites.with(limits: Self.packing) { sites in
            let (image, disk) = try await compressibleDisk(sites)
            var ticket = try await sites.open(g[0], after: nil, [disk])
            let proxy = try FrameProxy(
                to: ticket.address,
                alterForth: { header, payload in
                    guard header.kind == .packed else { return }
                    switch kind {
                    case 0: payload = [0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0, 0x40, 0x83, 0, 0, 0x41]
                    case 1: payload.removeLast(3)
                    default: header.offset = disk.size
                    }
                })
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: [disk])
            let thrown = await code { _ = try await sites.clientA.sendPoint(request) { _ in } }
            #expect(thrown == [.protocolViolation, .protocolViolation, .invalidArgument][kind])
            try await sites.cycle(g[0], after: nil, [disk])
            #expect(try await sites.atB(g[0], "vda", equals: image))
        }
    }

    /// On a busy machine the processor may be what a transfer waits for, and then nothing is to be packed: so it is given
    /// several, and one of them waits for the network.
    @Test("over a slow link compressible content is packed without being told to")
    func slowLink() async throws {
        try await TwoSites.with { sites in
            let (image, disk) = try await compressibleDisk(sites)
            var isPacked = false
            for generation in g where !isPacked {
                var ticket = try await sites.open(generation, after: nil, [disk])
                let proxy = try FrameProxy(to: ticket.address, bytesPerSecond: 8e6)
                defer { proxy.end() }
                ticket.address = proxy.address
                let moved = try await sites.clientA.sendPoint(SendPoint(ticket: ticket, disks: [disk])) { _ in }
                isPacked = proxy.counts.forth < Int(moved.bytes) * 9 / 10
                guard isPacked else {
                    try await sites.clientB.abandonPoint(relationship: sites.relationship, generation: generation)
                    continue
                }
                _ = try await sites.seal(generation, moved.checksums)
                #expect(try await sites.atB(generation, "vda", equals: image))
            }
            #expect(isPacked)
        }
    }

    /// All that can be packed is.
    private static var packing: AgentLimits {
        var limits = AgentLimits()
        limits.packing = .always
        return limits
    }

    private func compressibleDisk(_ sites: TwoSites) async throws -> (DiskImage, SourceDisk) {
        let image = DiskImage(path: sites.file("disk.raw"), format: "raw")
        let piece = Data(Self.content(1 << 20, seed: 9))
        var whole = Data()
        for _ in 0..<16 { whole.append(piece) }
        try whole.write(to: URL(fileURLWithPath: image.path))
        return (image, .stopped(image, mebibytes: 16, .everything))
    }
}
