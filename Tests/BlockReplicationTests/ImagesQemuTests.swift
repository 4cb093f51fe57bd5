import Foundation
import TestSupport
import Testing

@testable import BlockReplication

@Suite("QEMU reads, writes and commits overlays as its own")
struct ImagesQemuTests {
    /// A chain of a raw base and overlays on it, each with random changes.
    private func chain(_ scratch: Scratch, _ disk: ReferenceDisk, overlays: Int, _ generator: inout SeededGenerator)
        throws -> (layers: [ImageLayer], touched: ExtentMap)
    {
        let base = try RawBaseWriter(creating: scratch("p0"), size: disk.size)
        _ = try disk.change(20, longest: 64, &generator, to: [base])
        _ = try base.finish()
        var layers = [ImageLayer(path: base.path, format: .raw)]
        var touched = ExtentMap()
        for number in 1...overlays {
            let writer = try OverlayWriter(
                creating: scratch("p\(number)"), size: disk.size,
                backing: BackingReference(file: "p\(number - 1)", format: layers[number - 1].format))
            touched = try disk.change(60, longest: 3, &generator, to: [writer])
            _ = try writer.finish()
            layers.append(ImageLayer(path: writer.path, format: .qcow2))
        }
        return (layers, touched)
    }

    @Test(
        "qemu-img map finds data, zeros and what falls through just where they were written",
        arguments: [(9 << 20) + 512, (8 << 20) + 65536 + 4096, 200 * 1024], [21, 22] as [UInt64])
    func map(size: Int, seed: UInt64) async throws {
        struct Piece: Decodable {
            var start: UInt64
            var length: UInt64
            var depth: Int
            var zero: Bool
        }
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: seed)
        let disk = ReferenceDisk(size: size)
        let (layers, touched) = try chain(scratch, disk, overlays: 2, &generator)
        let said = try await QemuImg.run(["map", "--output=json", "-f", "qcow2", layers[2].path])
        let own = try JSONDecoder().decode([Piece].self, from: Data(said.output.utf8)).filter { $0.depth == 0 }
        let found = ExtentMap(own.map { Extent(offset: $0.start, length: $0.length, isZero: $0.zero) })
        #expect(found.clipped(to: disk.size) == touched)
    }

    /// Ranges as a guest writes them: single sectors, blocks off the grid of 4 KiB, the disk's last sector.
    private func guestWrites(_ disk: ReferenceDisk, _ generator: inout SeededGenerator) -> [String] {
        var commands: [String] = []
        func write(_ offset: UInt64, _ length: UInt64) {
            let pattern = UInt8.random(in: 1...255, using: &generator)
            let part = UnsafeMutableRawBufferPointer(
                rebasing: disk.bytes[Int(offset)..<Int(offset + length)])
            _ = part.initializeMemory(as: UInt8.self, repeating: pattern)
            commands += ["-c", "write -P \(pattern) \(offset) \(length)"]
        }
        let sectors = disk.size / 512
        for length in [1, 8, 8, 128, 3, 1] as [UInt64] {
            let first = UInt64.random(in: 0...sectors - length, using: &generator)
            write(first * 512, length * 512)
        }
        write(disk.size - 512, 512)
        let from = UInt64.random(in: 0..<sectors / 2, using: &generator) * 512
        let length = min(disk.size - from, 140 * 1024 - 512)
        disk.clear(from, length)
        commands += ["-c", "write -z \(from) \(length)"]
        return commands
    }

    private func write(_ commands: [String], to layer: ImageLayer) async throws {
        let words = ["qemu-io", "-f", layer.format.rawValue] + commands + [layer.path]
        let result = try await Program.result(of: words)
        guard result.status == 0 else { throw ProgramFailed(words: words, said: result.output + result.errors) }
    }

    @Test(
        "a VM's image over such a chain is written in sectors and committed into the point, as block commit does",
        arguments: [(6 << 20) + 512, (5 << 20) + 128 * 1024 - 512], [31, 32, 33] as [UInt64])
    func commit(size: Int, seed: UInt64) async throws {
        let scratch = try Scratch()
        var generator = SeededGenerator(seed: seed)
        let disk = ReferenceDisk(size: size)
        let (layers, _) = try chain(scratch, disk, overlays: 3, &generator)
        let boot = ImageLayer(path: scratch("boot"), format: .qcow2)
        try EmptyOverlay.create(boot.path, size: disk.size, backing: BackingReference(file: "p3", format: .qcow2))
        try await write(guestWrites(disk, &generator), to: boot)
        #expect(try await reads(boot, as: disk, in: scratch))

        let committed = try await QemuImg.run(["commit", "-f", "qcow2", boot.path])
        #expect(committed.exitCode == 0, "\(committed.text)")
        try await QemuImg.check(layers[3])
        #expect(try await reads(layers[3], as: disk, in: scratch))

        // The running VM writes what it was committed into, and in the end all goes down to the base.
        try await write(guestWrites(disk, &generator), to: layers[3])
        try await QemuImg.check(layers[3])
        #expect(try await reads(layers[3], as: disk, in: scratch))
        let flat = try await QemuImg.run(["commit", "-f", "qcow2", "-b", layers[0].path, layers[3].path])
        #expect(flat.exitCode == 0, "\(flat.text)")
        #expect(try await reads(layers[0], as: disk, in: scratch))
    }
}
