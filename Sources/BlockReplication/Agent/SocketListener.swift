import Foundation
import Synchronization

/// Listens on one address and gives each connection a thread of its own.
final class SocketListener: Sendable {
    /// Connections that are served, by number; the lowest number came first.
    private struct Served {
        var next: UInt64 = 0
        var all: [UInt64: StreamSocket] = [:]
        /// Those that have not yet shown who they are.
        var strangers: Set<UInt64> = []
        /// Threads, also of strangers that were put out and have not ended yet.
        var threads = 0
    }

    /// The address that peers connect to; with the port that the system chose when it was asked for any.
    let address: String
    private let descriptor: Int32
    private let interrupt: Interrupt
    private let limit: Int
    private let served = Mutex(Served())

    /// Listens at once; accepts from `start` on.
    ///
    /// At most `limit` connections are served at once.
    init(_ address: SocketAddress, interrupt: Interrupt, limit: Int = AgentLimits().connections) throws {
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
        self.limit = limit
        self.address = Self.boundAddress(descriptor, address)
    }

    deinit { close(descriptor) }

    /// Accepts connections until the interrupt is triggered.
    ///
    /// The thread holds this listener. When all places are taken, a new connection is refused.
    func start(_ name: String, _ serve: @escaping @Sendable (StreamSocket) -> Void) -> WorkerThread<Void> {
        start(name, asStrangers: false) { socket, _ in serve(socket) }
    }

    /// Accepts connections as `start` does, each a stranger until it calls what it is given as second argument,
    /// which answers false when the stranger has been put out.
    ///
    /// When all places are taken, the stranger that came first gives its place to a new connection: so strangers that
    /// say nothing, however many, keep nobody out who has something to say.
    func start(
        _ name: String, toStrangers serve: @escaping @Sendable (StreamSocket, () -> Bool) -> Void
    ) -> WorkerThread<Void> {
        start(name, asStrangers: true, serve)
    }

    private func start(
        _ name: String, asStrangers: Bool, _ serve: @escaping @Sendable (StreamSocket, () -> Bool) -> Void
    ) -> WorkerThread<Void> {
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
                takeIn(accepted, name, asStranger: asStrangers, serve)
            }
        }
    }

    /// Waits until all connections have ended, at most for `seconds`; blocks.
    func waitUntilIdle(seconds: Double) {
        let limit = ContinuousClock.now + .seconds(seconds)
        while served.withLock({ $0.threads > 0 }), ContinuousClock.now < limit { usleep(5000) }
    }

    private func takeIn(
        _ accepted: Int32, _ name: String, asStranger: Bool,
        _ serve: @escaping @Sendable (StreamSocket, () -> Bool) -> Void
    ) {
        guard let own = try? Interrupt(), let number = takePlace() else {
            close(accepted)
            return
        }
        interrupt.pass(to: own)
        let socket = StreamSocket(descriptor: accepted, interrupt: own)
        served.withLock { served in
            served.all[number] = socket
            served.threads += 1
            if asStranger { served.strangers.insert(number) }
        }
        let thread = Thread { [self] in
            serve(socket) { served.withLock { $0.strangers.remove(number) != nil } }
            served.withLock { served in
                served.all[number] = nil
                served.strangers.remove(number)
                served.threads -= 1
            }
        }
        thread.name = name + "-connection"
        thread.start()
    }

    /// A number for a new connection, for which a stranger may have to go; nil when no place can be had.
    private func takePlace() -> UInt64? {
        let (number, evicted) = served.withLock { served -> (UInt64?, StreamSocket?) in
            var evicted: StreamSocket?
            if served.all.count >= limit {
                guard let oldest = served.strangers.min() else { return (nil, nil) }
                served.strangers.remove(oldest)
                evicted = served.all.removeValue(forKey: oldest)
            }
            // A thread that was told to go ends soon; should many not, nobody is taken in until they have.
            guard served.threads < 4 * limit else { return (nil, evicted) }
            defer { served.next += 1 }
            return (served.next, evicted)
        }
        // Whatever its thread does, also the last words to the peer, ends with the connection.
        evicted?.interrupt.trigger(ReplicationError.crowdedOut)
        evicted?.shutDown()
        return number
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

extension ReplicationError {
    /// A connection that had not shown a ticket made room for another.
    static var crowdedOut: ReplicationError {
        ReplicationError(
            .busy, "the agent has too many connections", hint: "show a ticket at once, or connect again later")
    }
}
