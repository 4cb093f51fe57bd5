import Foundation
import Glibc
import TestSupport

@testable import BlockReplication

/// SplitMix64: the same seed gives the same test.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// What a disk must read as: bytes in memory, written out as a raw file to compare with.
final class ReferenceDisk {
    let bytes: UnsafeMutableRawBufferPointer

    init(size: Int) {
        bytes = .allocate(byteCount: size, alignment: 4096)
        _ = bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit { bytes.deallocate() }

    var size: UInt64 { UInt64(bytes.count) }

    /// Random bytes made once: each block is filled from some place in them.
    private static let pool: [UInt64] = {
        var generator = SeededGenerator(seed: 0xF111)
        return (0..<65536).map { _ in generator.next() | 1 }
    }()

    func fill(_ offset: UInt64, _ length: UInt64, _ generator: inout SeededGenerator) {
        for at in stride(from: Int(offset), to: Int(offset + length), by: 4096) {
            let count = min(4096, Int(offset + length) - at)
            let word = Int.random(in: 0..<65536 - 512, using: &generator)
            Self.pool.withUnsafeBytes { pool in
                let source = UnsafeRawBufferPointer(rebasing: pool[word * 8..<word * 8 + count])
                UnsafeMutableRawBufferPointer(rebasing: bytes[at..<at + count]).copyMemory(from: source)
            }
        }
    }

    func clear(_ offset: UInt64, _ length: UInt64) {
        let part = UnsafeMutableRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset + length)])
        _ = part.initializeMemory(as: UInt8.self, repeating: 0)
    }

    func slice(_ offset: UInt64, _ length: UInt64) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset + length)])
    }

    func save(_ path: String) throws {
        let file = try ImageFile(creating: path)
        try file.write(UnsafeRawBufferPointer(bytes), at: 0)
    }

    /// Makes `count` random changes, to the disk and to the writers alike; returns the ranges touched.
    func change(
        _ count: Int, longest blocks: UInt64, _ generator: inout SeededGenerator, to writers: [any PointImageWriter]
    ) throws -> ExtentMap {
        var touched = ExtentMap()
        let total = (size + 4095) / 4096
        for _ in 0..<count {
            let first = UInt64.random(in: 0..<total, using: &generator)
            let length = UInt64.random(in: 1...blocks, using: &generator)
            let from = first * 4096
            let to = min(from + length * 4096, size)
            let isZero = UInt64.random(in: 0..<4, using: &generator) == 0
            if isZero {
                clear(from, to - from)
                for writer in writers { try writer.zero(offset: from, length: to - from) }
            } else {
                fill(from, to - from, &generator)
                for writer in writers { try writer.write(slice(from, to - from), at: from) }
            }
            touched.insert(Extent(offset: from, length: to - from, isZero: isZero))
        }
        return touched
    }
}

/// True when the image reads as the disk does, in the eyes of qemu-img.
func reads(_ layer: ImageLayer, as disk: ReferenceDisk, in scratch: Scratch) async throws -> Bool {
    let reference = scratch("reference-\(UUID().uuidString).raw")
    try disk.save(reference)
    defer { unlink(reference) }
    return try await QemuImg.haveSameContent(layer, ImageLayer(path: reference, format: .raw))
}
