import Foundation
import SiteModel

/// Writes what diverged to a new folder: for each disk a raw sparse file as large as the disk, with the diverged blocks in place.
///
/// Blocks: runs on a thread of its own.
struct DivergenceExport {
    /// Left free on the file system.
    private static let reserve: UInt64 = 64 << 20

    private let found: FoundDivergence
    private let folder: String
    private let interrupt: Interrupt

    init(_ found: FoundDivergence, folder: String, interrupt: Interrupt) {
        self.found = found
        self.folder = folder
        self.interrupt = interrupt
    }

    /// Returns the list with the files' names; a folder that cannot be filled is removed again.
    func run() throws -> Divergence {
        try StoreNames.checkAbsolutePath(folder)
        guard mkdir(folder, 0o700) == 0 else {
            let number = errno
            guard number == EEXIST else {
                throw ReplicationError.system("making a folder", path: folder, errno: number)
            }
            throw ReplicationError(
                .invalidArgument, "\(folder) exists already", hint: "name a folder that is not there yet")
        }
        var answer = found.answer
        do {
            try checkSpace()
            for (index, disk) in found.disks.enumerated() {
                answer.disks[index].exported = try write(disk)
            }
        } catch {
            for disk in found.disks { unlink(path(disk)) }
            rmdir(folder)
            throw error
        }
        return answer
    }

    private func path(_ disk: FoundDivergence.Disk) -> String { "\(folder)/\(disk.target).raw" }

    private func checkSpace() throws {
        var space = statvfs()
        guard statvfs(folder, &space) == 0 else {
            throw ReplicationError.system("asking for free space", path: folder, errno: errno)
        }
        let free = UInt64(space.f_bavail) * UInt64(space.f_frsize)
        let needed = found.disks.reduce(Self.reserve) { $0 + $1.extents.byteCount }
        guard free >= needed else {
            throw ReplicationError(
                .noSpace, "\(folder) has \(free >> 20) MiB free, and \(needed >> 20) MiB are needed",
                hint: "name a folder on a file system with more room")
        }
    }

    private func write(_ disk: FoundDivergence.Disk) throws -> String {
        let source = try openImage(disk.image, interrupt: interrupt)
        defer { source.close() }
        let file = try ImageFile(creating: path(disk))
        try file.truncate(to: disk.size)
        let pool = BufferPool(count: ReadShape.buffers, bufferSize: ReadShape.requestSize)
        interrupt.onTrigger { [weak pool] in pool?.wake() }
        try source.read(try source.allocation(of: disk.extents.clipped(to: source.size)), pool: pool) { filled in
            defer { pool.giveBack(filled.buffer) }
            if !isZero(filled.bytes) { try file.write(filled.bytes, at: filled.offset) }
        }
        try file.sync()
        return path(disk)
    }
}
