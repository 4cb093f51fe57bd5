import CNBD
import Foundation

/// One connection to an NBD export on a local Unix socket.
///
/// Confined to the thread that reads the disk.
///
/// All calls are libnbd's asynchronous ones, so that every wait heeds the interrupt and a limit of silence.
final class NBDHandle {
    /// QEMU answers block requests in milliseconds; a storage that stands still for longer is given up.
    static let silenceLimitSeconds = 60.0

    private let handle: OpaquePointer
    private let interrupt: Interrupt
    private let name: String

    /// Connects and negotiates one metadata context.
    init(socket: String, export: String, context: String, interrupt: Interrupt) throws {
        guard let handle = nbd_create() else {
            throw ReplicationError(.nbd, "no NBD handle could be made", hint: "check the host's memory")
        }
        self.handle = handle
        self.interrupt = interrupt
        name = "\(socket)#\(export)"
        guard nbd_set_export_name(handle, export) == 0, nbd_add_meta_context(handle, context) == 0,
            nbd_set_pread_initialize(handle, false) == 0, nbd_aio_connect_unix(handle, socket) == 0
        else { throw failure("connecting to") }
        try drive("connecting to") { nbd_aio_is_connecting(handle) == 0 }
        guard nbd_aio_is_ready(handle) == 1 || nbd_aio_is_processing(handle) == 1 else {
            throw failure("connecting to")
        }
    }

    deinit { nbd_close(handle) }

    /// Size of the export in bytes.
    func size() throws -> UInt64 {
        let size = nbd_get_size(handle)
        guard size >= 0 else { throw failure("asking the size of") }
        return UInt64(size)
    }

    /// Whether the server has the context that was asked for.
    func has(context: String) -> Bool { nbd_can_meta_context(handle, context) == 1 }

    /// Calls `body` with each extent of the range and its flags in the negotiated context.
    func blockStatus(of range: ByteRange, _ body: (Extent, UInt32) -> Void) throws {
        var offset = range.offset
        let end = range.offset + range.length
        while offset < end {
            let collector = EntryCollector()
            let callback = nbd_extent_callback(
                callback: { user, _, _, entries, count, _ in
                    guard let user, let entries else { return -1 }
                    let collector = Unmanaged<EntryCollector>.fromOpaque(user).takeUnretainedValue()
                    collector.entries = Array(UnsafeBufferPointer(start: entries, count: count))
                    return 0
                }, user_data: Unmanaged.passUnretained(collector).toOpaque(), free: nil)
            // Lengths are 32 bits wide; big ranges save round trips.
            let cookie = nbd_aio_block_status(
                handle, min(end - offset, 1 << 30), offset, callback, nbd_completion_callback(), 0)
            guard cookie >= 0 else { throw failure("asking for the block status of") }
            try withExtendedLifetime(collector) { try complete(cookie, "asking for the block status of") }
            let before = offset
            for index in stride(from: 0, to: collector.entries.count - 1, by: 2) where offset < end {
                // The last entry may reach beyond what was asked for.
                let length = min(UInt64(collector.entries[index]), end - offset)
                body(Extent(offset: offset, length: length), collector.entries[index + 1])
                offset += length
            }
            guard offset > before else {
                throw ReplicationError(
                    .nbd, "the NBD server of \(name) described no block", hint: "update QEMU at this host")
            }
        }
    }

    /// Begins a read into memory that stays valid until the read has completed or the handle is gone.
    func beginRead(_ memory: UnsafeMutableRawPointer, _ range: ByteRange) throws -> Int64 {
        let cookie = nbd_aio_pread(
            handle, memory, Int(range.length), range.offset, nbd_completion_callback(), 0)
        guard cookie >= 0 else { throw failure("reading") }
        return cookie
    }

    /// Cookie of a command that has ended and was not yet asked about; nil when there is none.
    func nextCompleted() throws -> Int64? {
        let cookie = nbd_aio_peek_command_completed(handle)
        guard cookie > 0 else { return nil }
        guard nbd_aio_command_completed(handle, UInt64(cookie)) == 1 else { throw failure("reading") }
        return cookie
    }

    var pollEntry: pollfd {
        let direction = nbd_aio_get_direction(handle)
        var events: Int16 = 0
        if direction & UInt32(LIBNBD_AIO_DIRECTION_READ) != 0 { events |= Int16(POLLIN) }
        if direction & UInt32(LIBNBD_AIO_DIRECTION_WRITE) != 0 { events |= Int16(POLLOUT) }
        return pollfd(fd: nbd_aio_get_fd(handle), events: events, revents: 0)
    }

    /// Lets libnbd read or write as poll(2) has found possible.
    func notify(_ entry: pollfd) throws {
        guard entry.revents != 0 else { return }
        let direction = nbd_aio_get_direction(handle)
        var status: Int32 = 0
        // A hang-up is readable: libnbd then finds the end of the stream and says so.
        if entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0, direction & UInt32(LIBNBD_AIO_DIRECTION_READ) != 0 {
            status = nbd_aio_notify_read(handle)
        } else if entry.revents & Int16(POLLOUT) != 0, direction & UInt32(LIBNBD_AIO_DIRECTION_WRITE) != 0 {
            status = nbd_aio_notify_write(handle)
        } else if entry.revents & Int16(POLLHUP | POLLERR | POLLNVAL) != 0 {
            throw disconnected
        }
        guard status == 0 else { throw failure("reading") }
        if nbd_aio_is_dead(handle) == 1 || nbd_aio_is_closed(handle) == 1 { throw disconnected }
    }

    private func complete(_ cookie: Int64, _ doing: String) throws {
        try drive(doing) {
            let status = nbd_aio_command_completed(handle, UInt64(cookie))
            if status < 0 { throw failure(doing) }
            return status == 1
        }
    }

    /// Moves the connection on until `done`.
    private func drive(_ doing: String, until done: () throws -> Bool) throws {
        while try !done() {
            if nbd_aio_is_dead(handle) == 1 { throw failure(doing) }
            var entries = [pollEntry]
            try NBDHandle.wait(&entries, interrupt)
            try notify(entries[0])
        }
    }

    /// Waits until one of the entries is ready; throws when the interrupt is triggered or nothing moves for too long.
    static func wait(_ entries: inout [pollfd], _ interrupt: Interrupt) throws {
        let limit = ContinuousClock.now + .seconds(silenceLimitSeconds)
        entries.append(pollfd(fd: interrupt.descriptor, events: Int16(POLLIN), revents: 0))
        defer { entries.removeLast() }
        while true {
            try interrupt.check()
            let count = poll(&entries, nfds_t(entries.count), 1000)
            try interrupt.check()
            if count > 0 { return }
            if ContinuousClock.now > limit {
                throw ReplicationError(
                    .timedOut, "the NBD server gave no answer for \(Int(silenceLimitSeconds)) seconds",
                    hint: "check the storage under the disk at this host and the state of its QEMU")
            }
        }
    }

    private var disconnected: ReplicationError {
        ReplicationError(
            .nbd, "the NBD server of \(name) closed the connection",
            hint: "check whether the VM or its backup job ended; the next cycle begins anew")
    }

    private func failure(_ doing: String) -> ReplicationError {
        let reason = nbd_get_error().map { String(cString: $0) } ?? "unknown"
        return ReplicationError(
            .nbd, "\(doing) the NBD export \(name) failed: \(reason)",
            hint:
                "check whether the VM or its backup job ended and whether its storage works; the next cycle begins anew",
            context: ["errno": String(nbd_get_errno())])
    }
}

/// Where libnbd's extent callback leaves what it was told.
private final class EntryCollector {
    var entries: [UInt32] = []
}
