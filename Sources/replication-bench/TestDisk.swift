import Foundation
import Glibc

/// Contents of disks, the same in every run.
enum TestDisk {
    static let mebibyte = 1 << 20

    /// A raw image: of each ten MiB six are random, one is written zeros, three are a hole; in random order.
    static func make(_ path: String, size: UInt64, seed: UInt64 = 42) throws {
        let file = try Output(path)
        try file.setSize(size)
        var generator = SplitMix(seed)
        var buffer = [UInt64](repeating: 0, count: mebibyte / 8)
        for index in 0..<(size >> 20) {
            switch generator.next() % 10 {
            case 0..<6:
                for word in buffer.indices { buffer[word] = generator.next() }
                try file.write(buffer, at: index << 20)
            case 6: try file.write([UInt64](repeating: 0, count: mebibyte / 8), at: index << 20)
            default: break
            }
        }
    }

    /// A raw image of which so many of each 64 bytes are random and the others the same text.
    static func makeCompressible(_ path: String, size: UInt64, random: Int) throws {
        let file = try Output(path)
        try file.setSize(size)
        var generator = SplitMix(7)
        var buffer = [UInt64](repeating: 0x2064_6F67_206C_6F6C, count: mebibyte / 8)
        for index in 0..<(size >> 20) {
            for word in buffer.indices where word % 8 < random / 8 { buffer[word] = generator.next() }
            try file.write(buffer, at: index << 20)
        }
    }

    /// Offsets of so many percent of a disk's 64 KiB granules, at random places, in order.
    static func places(percent: Int, size: UInt64, seed: UInt64 = 7) -> [UInt64] {
        var generator = SplitMix(seed)
        var all = Array(0..<(size >> 16))
        let count = all.count * percent / 100
        for index in 0..<count {
            all.swapAt(index, index + Int(generator.next() % UInt64(all.count - index)))
        }
        return all.prefix(count).sorted().map { $0 << 16 }
    }

    /// Writes random bytes at these places of a raw image.
    static func change(_ path: String, at places: [UInt64], length: Int = 65536, seed: UInt64) throws {
        let file = try Output(path)
        var generator = SplitMix(seed)
        var buffer = [UInt64](repeating: 0, count: length / 8)
        for place in places {
            for word in buffer.indices { buffer[word] = generator.next() }
            try file.write(buffer, at: place)
        }
    }

    /// Writes random bytes at these places of a qcow2 image, through qemu-io.
    static func change(
        qcow2 path: String, at places: [UInt64], length: Int = 65536, seed: UInt64, _ bench: Workbench
    ) async throws {
        let pattern = bench("pattern")
        var generator = SplitMix(seed)
        let words = (0..<length / 8).map { _ in generator.next() }
        unlink(pattern)
        try Output(pattern).write(words, at: 0)
        let commands = places.map { "write -q -s \(pattern) \($0) \(length)" }.joined(separator: "\n") + "\nquit\n"
        try commands.write(toFile: bench("commands"), atomically: false, encoding: .utf8)
        try await bench.run("qemu-io", "-f", "qcow2", "-t", "writeback", path, input: bench("commands"))
    }
}

/// A file that is written at offsets.
final class Output {
    let descriptor: Int32

    init(_ path: String) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BenchError("\(path) cannot be written") }
    }

    deinit { close(descriptor) }

    func setSize(_ size: UInt64) throws {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw BenchError("a file cannot be made that long") }
    }

    func write(_ words: [UInt64], at offset: UInt64) throws {
        let written = words.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
        guard written == words.count * 8 else { throw BenchError("a test disk cannot be written: no room?") }
    }
}

/// Steele, Lea and Flood's SplitMix64.
struct SplitMix {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}

extension Output {
    /// A file that is read at offsets.
    final class Reader: Sendable {
        private let descriptor: Int32

        init?(_ path: String) {
            descriptor = open(path, O_RDONLY | O_CLOEXEC)
            if descriptor < 0 { return nil }
        }

        deinit { close(descriptor) }

        func dropCache() {
            fsync(descriptor)
            posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
            pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
        }
    }
}
