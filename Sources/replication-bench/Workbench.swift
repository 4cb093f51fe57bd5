import Foundation
import Glibc

/// The bench's folders, one in memory and one on disk, both removed at the end; and how large its disks are.
final class Workbench: Sendable {
    /// On a tmpfs of its own: what is measured there is the data path, not a disk.
    let memory: String
    /// On the disk of the machine.
    let disk: String
    /// Bytes of the disks that are copied.
    let size: UInt64
    private let isMounted: Bool

    init(size: UInt64) throws {
        self.size = size
        let name = "perilune-bench-\(getpid())"
        memory = "/tmp/\(name)"
        disk = "/var/tmp/\(name)"
        for folder in [memory, disk] {
            guard mkdir(folder, 0o700) == 0 else { throw BenchError("\(folder) cannot be made") }
        }
        isMounted = mount("tmpfs", memory, "tmpfs", 0, "size=90%,mode=0711") == 0
        if !isMounted {
            FileHandle.standardError.write(
                Data("not root: \(memory) is no tmpfs, so the figures are of its disk\n".utf8))
        }
    }

    func remove() {
        if isMounted { umount2(memory, Int32(MNT_DETACH)) }
        for folder in [memory, disk] { try? FileManager.default.removeItem(atPath: folder) }
    }

    /// A path in memory.
    func callAsFunction(_ name: String) -> String { "\(memory)/\(name)" }

    func removeFiles(_ names: String...) {
        for name in names { try? FileManager.default.removeItem(atPath: self(name)) }
    }

    /// Runs a program to its end.
    @discardableResult
    func run(_ words: String..., input: String = "/dev/null") async throws -> (output: String, usage: Usage) {
        try await Tool.run(words, in: memory, input: input)
    }

    /// Touches as much memory as a copy will take and gives it back.
    ///
    /// A machine may have to ask its own host for memory that was not used for a while: nobody's figure shall pay for that.
    func warm(_ bytes: UInt64) {
        let length = Int(bytes)
        guard let base = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            base != MAP_FAILED
        else { return }
        for offset in stride(from: 0, to: length, by: 4096) {
            base.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
        }
        munmap(base, length)
    }

    /// Reserves all of a file's room, written with zeros or not.
    func allocate(_ path: String, _ bytes: UInt64) throws {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        guard file >= 0, posix_fallocate(file, 0, off_t(bytes)) == 0 else {
            throw BenchError("no room for \(path)")
        }
    }
}

/// The time that a body takes, in seconds.
func seconds(_ body: () async throws -> Void) async rethrows -> Double {
    let start = ContinuousClock.now
    try await body()
    return (ContinuousClock.now - start) / .seconds(1)
}
