import CNBD
import Foundation

// Everything is guarded by `lock`; one thread uses a source at a time.

/// Reads an NBD export on a local Unix socket: a running VM's pull backup, or an image behind `qemu-nbd`.
final class NBDSource: ExtentSource, @unchecked Sendable {
    private static let allocationContext = "base:allocation"

    let size: UInt64
    private let socket: String
    private let export: String
    private let interrupt: Interrupt
    private let lock = NSLock()
    private var handles: [NBDHandle]
    /// The process behind the socket, when it is ours.
    private let server: QEMUExport?

    /// Connects to the export; `server` is ended with the source.
    init(socket: String, export: String, interrupt: Interrupt, server: QEMUExport? = nil) throws {
        self.socket = socket
        self.export = export
        self.interrupt = interrupt
        self.server = server
        let first = try NBDHandle(
            socket: socket, export: export, context: Self.allocationContext, interrupt: interrupt)
        size = try first.size()
        handles = [first]
    }

    deinit { server?.end() }

    func close() {
        lock.withLock { handles = [] }
        server?.end()
    }

    func allocation(of ranges: ExtentMap) throws -> ExtentMap {
        try lock.withLock {
            let handle = try firstHandle()
            // A server without the context says nothing about zeros: then all is data.
            guard handle.has(context: Self.allocationContext) else { return ranges }
            var result = ExtentMap()
            for range in Self.queries(covering: ranges) {
                try handle.blockStatus(of: range) { extent, flags in
                    let isZero = flags & UInt32(LIBNBD_STATE_ZERO) != 0
                    result.insert(Extent(offset: extent.offset, length: extent.length, isZero: isZero))
                }
            }
            return result.intersection(ranges)
        }
    }

    func changes(bitmap: String) throws -> ExtentMap {
        let context = "qemu:dirty-bitmap:" + bitmap
        let handle = try NBDHandle(socket: socket, export: export, context: context, interrupt: interrupt)
        guard handle.has(context: context) else {
            throw ReplicationError.noBitmap(bitmap, "the export has none of that name")
        }
        var result = ExtentMap()
        try handle.blockStatus(of: ByteRange(offset: 0, length: size)) { extent, flags in
            if flags & 1 != 0 { result.insert(extent) }
        }
        return result
    }

    func read(_ extents: ExtentMap, pool: BufferPool, deliver: (FilledBuffer) throws -> Void) throws {
        try lock.withLock {
            do {
                _ = try firstHandle()
                try readAll(extents, pool: pool, deliver: deliver)
            } catch {
                // Requests may still be under way into buffers: the connections end before the buffers are used again.
                handles = []
                throw error
            }
        }
    }

    private struct Request {
        let handle: Int
        let cookie: Int64
        let buffer: PoolBuffer
        let range: ByteRange
    }

    private func readAll(
        _ extents: ExtentMap, pool: BufferPool, deliver: (FilledBuffer) throws -> Void
    ) throws {
        var ranges = RequestIterator(extents)
        var pending = ranges.next()
        guard pending != nil else { return }
        while handles.count < ReadShape.connections {
            handles.append(
                try NBDHandle(
                    socket: socket, export: export, context: Self.allocationContext, interrupt: interrupt))
        }
        var requests: [Request] = []
        defer {
            if !requests.isEmpty {
                handles = []
                for request in requests { pool.giveBack(request.buffer) }
            }
        }
        var underWay = [Int](repeating: 0, count: handles.count)
        while true {
            issuing: while let range = pending {
                guard let index = underWay.indices.min(by: { underWay[$0] < underWay[$1] }),
                    underWay[index] < ReadShape.requestsPerConnection
                else { break }
                guard let buffer = requests.isEmpty ? try pool.take(interrupt) : pool.takeIfFree() else {
                    break issuing
                }
                do {
                    let cookie = try handles[index].beginRead(buffer.base, range)
                    requests.append(Request(handle: index, cookie: cookie, buffer: buffer, range: range))
                } catch {
                    handles = []
                    pool.giveBack(buffer)
                    throw error
                }
                underWay[index] += 1
                pending = ranges.next()
            }
            if requests.isEmpty { return }
            var entries = handles.map(\.pollEntry)
            try NBDHandle.wait(&entries, interrupt)
            for (index, handle) in handles.enumerated() {
                try handle.notify(entries[index])
                while let cookie = try handle.nextCompleted() {
                    guard let found = requests.firstIndex(where: { $0.cookie == cookie && $0.handle == index }) else {
                        continue
                    }
                    let request = requests.remove(at: found)
                    underWay[index] -= 1
                    try deliver(
                        FilledBuffer(
                            buffer: request.buffer, offset: request.range.offset, count: Int(request.range.length)))
                }
            }
        }
    }

    private func firstHandle() throws -> NBDHandle {
        if let first = handles.first { return first }
        throw ReplicationError(
            .nbd, "a disk was read after its source was closed", hint: "start the cycle again")
    }

    /// Few ranges are asked about one by one; many as one range with what lies between.
    private static func queries(covering ranges: ExtentMap) -> [ByteRange] {
        guard let first = ranges.first, let last = ranges.last else { return [] }
        if ranges.count <= 64 { return ranges.map { ByteRange(offset: $0.offset, length: $0.length) } }
        return [ByteRange(offset: first.offset, length: last.end - first.offset)]
    }
}

extension ReplicationError {
    /// The bitmap cannot be used; the blocks must be compared.
    static func noBitmap(_ name: String, _ reason: String) -> ReplicationError {
        ReplicationError(
            .noUsableBitmap, "the dirty bitmap \(name) cannot be used: \(reason)",
            hint: "compare the disks by hash (selection 'differing'), and begin a new bitmap", context: ["bitmap": name]
        )
    }
}
