import Foundation
import Glibc
import TestSupport
import Testing

@testable import BlockReplication

@Suite("A chain read in this process gives what QEMU gives")
struct ImagesChainReaderTests {
    @Test(
        "random chains, read in random pieces", arguments: [(6 << 20) + 512, 3 << 20, 100 * 1024],
        [1, 2, 3] as [UInt64])
    func randomChains(size: Int, seed: UInt64) throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: seed)
        let disk = ReferenceDisk(size: size)
        let base = try RawBaseWriter(creating: scratch("p0"), size: disk.size)
        _ = try disk.change(20, longest: 64, &generator, to: [base])
        _ = try base.finish()
        for number in 1...5 {
            let writer = try OverlayWriter(
                creating: scratch("p\(number)"), size: disk.size,
                backing: BackingReference(file: "p\(number - 1)", format: number == 1 ? .raw : .qcow2))
            _ = try disk.change(40, longest: 8, &generator, to: [writer])
            _ = try writer.finish()
        }
        let chain = try ChainReader(ImageLayer(path: scratch("p5"), format: .qcow2)) { _ in
            throw ReplicationError(.unsupported, "no image of the chain is foreign", hint: "")
        }
        try expect(chain, reads: disk, &generator)
    }

    @Test("what lies beneath our overlays is asked for where they hold nothing")
    func foreign() async throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: 4)
        let disk = ReferenceDisk(size: 4 << 20)
        disk.fill(0, disk.size, &generator)
        try disk.save(scratch("raw"))
        let made = try await QemuImg.run(["convert", "-f", "raw", "-O", "qcow2", scratch("raw"), scratch("p0")])
        #expect(made.exitCode == 0, "\(made.text)")
        let writer = try OverlayWriter(
            creating: scratch("p1"), size: disk.size, backing: BackingReference(file: "p0", format: .qcow2))
        _ = try disk.change(60, longest: 4, &generator, to: [writer])
        _ = try writer.finish()
        let raw = try ImageFile(reading: scratch("raw"))
        let chain = try ChainReader(ImageLayer(path: writer.path, format: .qcow2)) { image in
            #expect(image.path == scratch("p0"))
            return (disk.size, { try raw.read(into: $0, at: $1) })
        }
        try expect(chain, reads: disk, &generator)
    }

    @Test("a chain that comes back to itself is damaged")
    func circle() throws {
        let scratch = try Scratch()
        for (name, below) in [("p1", "p2"), ("p2", "p1")] {
            let writer = try OverlayWriter(
                creating: scratch(name), size: 1 << 20, backing: BackingReference(file: below, format: .qcow2))
            _ = try writer.finish()
        }
        let error = #expect(throws: ReplicationError.self) {
            _ = try ChainReader(ImageLayer(path: scratch("p1"), format: .qcow2)) { _ in (1 << 20, { _, _ in }) }
        }
        #expect(error?.code == .damaged)
    }

    private func expect(
        _ chain: ChainReader, reads disk: ReferenceDisk, _ generator: inout SeededGenerator
    ) throws {
        let blocks = (disk.size + 4095) / 4096
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        defer { buffer.deallocate() }
        for round in 0..<300 {
            let first = round == 0 ? 0 : UInt64.random(in: 0..<blocks, using: &generator)
            let count = UInt64.random(in: 1...64, using: &generator)
            let length = min(count << 12, disk.size - first << 12)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(length)])
            try chain.read(into: part, at: first << 12)
            let (wanted, found) = (disk.slice(first << 12, length).baseAddress, part.baseAddress)
            let same = try memcmp(#require(wanted), #require(found), part.count) == 0
            #expect(same, "other bytes at \(first << 12)")
        }
    }
}
