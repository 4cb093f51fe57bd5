import Foundation
import Synchronization

/// Listens on one address and gives each connection a thread of its own.
final class SocketListener: Sendable {
    private static let connectionLimit = 128

    /// The address that peers connect to; with the port that the system chose when it was asked for any.
    let address: String
    private let descriptor: Int32
    private let interrupt: Interrupt
    private let open = Mutex(0)

    /// Listens at once; accepts from `start` on.
    init(_ address: SocketAddress, interrupt: Interrupt) throws {
        var failure: Int32 = EADDRNOTAVAIL
        let descriptor = try address.forEachResolved(passive: true) { family, pointer, length -> Int32? in
            let descriptor = socket(
                family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            guard descriptor >= 0 else { throw ReplicationError.system("making a socket", errno: errno) }
            var yes: Int32 = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
            // A Unix socket gets its rights before anybody can connect.
            if Glibc.bind(descriptor, pointer, length) == 0, Self.protect(address), listen(descriptor, 128) == 0 {
                return descriptor
            }
            failure = errno
            Glibc.close(descriptor)
            return nil
        }
        guard let descriptor else {
            throw ReplicationError(
                .io, "the agent cannot listen on \(address): \(String(cString: strerror(failure)))",
                hint: "end whatever uses the address, or give another with --listen",
                context: ["errno": String(failure)])
        }
        self.descriptor = descriptor
        self.interrupt = interrupt
        self.address = Self.boundAddress(descriptor, address)
    }

    deinit { close(descriptor) }

    /// Accepts connections until the interrupt is triggered.
    ///
    /// The thread holds this listener.
    func start(_ name: String, _ serve: @escaping @Sendable (StreamSocket) -> Void) -> WorkerThread<Void> {
        WorkerThread(name) { [self] in
            while interrupt.reason == nil {
                var entries = [
                    pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: interrupt.descriptor, events: Int16(POLLIN), revents: 0),
                ]
                poll(&entries, 2, -1)
                guard interrupt.reason == nil, entries[0].revents != 0 else { continue }
                let accepted = accept(descriptor, nil, nil)
                if accepted < 0 {
                    // No descriptor left: the pending connection stays, so this is tried again a little later.
                    if errno == EMFILE || errno == ENFILE { usleep(50_000) }
                    continue
                }
                _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
                takeIn(accepted, name, serve)
            }
        }
    }

    /// Waits until all connections have ended, at most for `seconds`; blocks.
    func waitUntilIdle(seconds: Double) {
        let limit = ContinuousClock.now + .seconds(seconds)
        while open.withLock({ $0 > 0 }), ContinuousClock.now < limit { usleep(5000) }
    }

    private func takeIn(_ accepted: Int32, _ name: String, _ serve: @escaping @Sendable (StreamSocket) -> Void) {
        guard open.withLock({ $0 < Self.connectionLimit }), let own = try? Interrupt() else {
            close(accepted)
            return
        }
        open.withLock { $0 += 1 }
        interrupt.pass(to: own)
        let socket = StreamSocket(descriptor: accepted, interrupt: own)
        let thread = Thread { [self] in
            serve(socket)
            open.withLock { $0 -= 1 }
        }
        thread.name = name + "-connection"
        thread.start()
    }

    /// 0600 for a Unix socket; true when there is nothing to do, or it is done.
    private static func protect(_ address: SocketAddress) -> Bool {
        guard case .unix(let path) = address.kind else { return true }
        return chmod(path, 0o600) == 0
    }

    private static func boundAddress(_ descriptor: Int32, _ address: SocketAddress) -> String {
        guard case .tcp(let host, let port) = address.kind, port == "0" else { return address.description }
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let bound = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard bound == 0 else { return address.description }
        // The port stands at the same place in both families' addresses.
        let number = withUnsafeBytes(of: &storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
        return host.contains(":") ? "[\(host)]:\(number)" : "\(host):\(number)"
    }
}
