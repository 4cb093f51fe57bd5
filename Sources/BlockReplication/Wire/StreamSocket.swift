import Glibc
import Synchronization

/// A connected stream socket for threads: every wait heeds an interrupt and a limit of silence.
///
/// TLS is here and nowhere else: `send` and `receive` are the only two places where bytes of a connection between
/// agents pass.
final class StreamSocket: Sendable {
    /// A peer that is silent for longer is gone; heartbeats come every `heartbeatIntervalSeconds`.
    static let idleLimitSeconds = 30.0
    static let heartbeatIntervalSeconds = 10.0
    /// A peer that lives but reads nothing for longer is given up: its storage hangs.
    static let writeLimitSeconds = 120.0

    private struct Limits {
        var idle: Double
        var write = StreamSocket.writeLimitSeconds
        var deadline: ContinuousClock.Instant?
    }

    let descriptor: Int32
    let interrupt: Interrupt
    private let limits: Mutex<Limits>
    private let blocked = Atomic<Int64>(0)
    /// Set once, before anything but a handshake has passed.
    private let secured = Mutex<TLSStream?>(nil)
    private var tls: TLSStream? { secured.withLock { $0 } }

    /// Takes over a connected socket and closes it at its own end.
    init(descriptor: Int32, interrupt: Interrupt, idleLimitSeconds: Double = StreamSocket.idleLimitSeconds) {
        self.descriptor = descriptor
        self.interrupt = interrupt
        limits = Mutex(Limits(idle: idleLimitSeconds))
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        var yes: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        // Both fail on Unix sockets, where there is nothing to set.
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, size)
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &yes, size)
    }

    deinit { close(descriptor) }

    /// Changes how long the peer may be silent.
    func setIdleLimit(seconds: Double) { limits.withLock { $0.idle = seconds } }

    /// Changes how long the peer may take in nothing while it is not silent.
    func setWriteLimit(seconds: Double) { limits.withLock { $0.write = seconds } }

    /// Sets the instant at which all reading ends, whatever has come until then.
    func setDeadline(_ deadline: ContinuousClock.Instant?) { limits.withLock { $0.deadline = deadline } }

    /// Connects to an agent; gives up after `timeoutSeconds`.
    static func connect(to address: SocketAddress, interrupt: Interrupt, timeoutSeconds: Double) throws -> StreamSocket
    {
        var failure = ECONNREFUSED
        let socket = try address.forEachResolved(passive: false) { family, pointer, length -> StreamSocket? in
            let descriptor = Glibc.socket(
                family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            guard descriptor >= 0 else { throw ReplicationError.system("making a socket", errno: errno) }
            let socket = StreamSocket(descriptor: descriptor, interrupt: interrupt)
            if Glibc.connect(descriptor, pointer, length) == 0 { return socket }
            guard errno == EINPROGRESS else {
                failure = errno
                return nil
            }
            guard try socket.wait(for: Int16(POLLOUT), seconds: timeoutSeconds) != 0 else {
                failure = ETIMEDOUT
                return nil
            }
            var status: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &status, &size)
            failure = status
            return status == 0 ? socket : nil
        }
        guard let socket else {
            throw ReplicationError(
                .disconnected, "the agent at \(address) does not answer: \(String(cString: strerror(failure)))",
                hint:
                    "start `perilune agent` there, and check that the network between the sites lets its port through",
                context: ["address": address.description, "errno": String(failure)])
        }
        return socket
    }

    /// Whether there is something to read at once.
    func hasInput() -> Bool {
        if let tls { return tls.hasInput() }
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1
    }

    /// Fills the buffer, or throws.
    func receive(_ buffer: UnsafeMutableRawBufferPointer) throws {
        var done = 0
        while done < buffer.count {
            done += try receiveSome(UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        }
    }

    /// Receives at least one byte.
    func receiveSome(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let tls = tls
        while true {
            if let tls {
                if let count = try tls.read(buffer) { return count }
            } else {
                let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
                if count > 0 { return count }
                if count == 0 { throw Self.gone("the peer closed the connection") }
                if errno == EINTR { continue }
                guard errno == EAGAIN else { throw Self.gone(String(cString: strerror(errno))) }
            }
            let (idle, deadline) = limits.withLock { ($0.idle, $0.deadline) }
            let left = deadline.map { ($0 - .now) / .seconds(1) } ?? idle
            guard try wait(for: Int16(POLLIN), seconds: min(idle, left)) != 0 else { throw Self.silent }
        }
    }

    /// The first byte that comes, which stays to be received.
    func firstByte() throws -> UInt8 {
        while true {
            var byte: UInt8 = 0
            let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK))
            if count > 0 { return byte }
            if count == 0 { throw Self.gone("the peer closed the connection") }
            if errno == EINTR { continue }
            guard errno == EAGAIN else { throw Self.gone(String(cString: strerror(errno))) }
            let (idle, deadline) = limits.withLock { ($0.idle, $0.deadline) }
            let left = deadline.map { ($0 - .now) / .seconds(1) } ?? idle
            guard try wait(for: Int16(POLLIN), seconds: min(idle, left)) != 0 else { throw Self.silent }
        }
    }

    /// Shakes hands; from then on everything travels encrypted, to a peer that has shown a certificate that holds.
    ///
    /// `place` is what messages call the peer. Errors: `notAuthorized` for a certificate, `timedOut` for a peer that says
    /// too little in `seconds`, `protocolViolation` for one that speaks no TLS 1.3.
    func secure(
        _ identity: TLSIdentity, _ role: TLSStream.Role, place: String, seconds: Double,
        bytesForOneKey: UInt64 = TLSStream.bytesForOneKey
    ) throws {
        let stream = try TLSStream(identity, role, descriptor: descriptor, bytesForOneKey: bytesForOneKey)
        let limit = ContinuousClock.now + .seconds(seconds)
        do {
            while try stream.shakeHands(place, { try transmit($0, .empty) }) == .needsInput {
                let left = (limit - .now) / .seconds(1)
                guard left > 0, try wait(for: Int16(POLLIN), seconds: left) != 0 else {
                    throw ReplicationError(
                        .timedOut, "\(place) did not end the TLS handshake within \(Int(seconds)) seconds",
                        hint: "look whether an agent answers there, and at its host's load; then try again")
                }
            }
        } catch let error as ReplicationError where error.code == .disconnected && interrupt.reason == nil {
            throw ReplicationError(
                .disconnected, "\(place) closed the connection during the TLS handshake",
                hint: "look whether an agent with --tls answers there, then start the cycle again", cause: error)
        }
        secured.withLock { $0 = stream }
    }

    /// Seconds that sending has waited for the peer or the network to take in more.
    var blockedSeconds: Double { Double(blocked.load(ordering: .relaxed)) * 1e-9 }

    /// Sends a header and its payload with one call where the socket takes them.
    ///
    /// A peer that is `listening` to both directions calls `hear` when something has come and nothing can be sent: so two
    /// peers that both send never wait for each other.
    func send(
        _ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, listening: Bool = false,
        hear: () throws -> Void = {}
    ) throws {
        guard let tls else { return try transmit(header, payload, listening: listening, hear: hear) }
        try tls.send(header, payload) { try transmit($0, .empty, listening: listening, hear: hear) }
    }

    /// Hands bytes to the system as they are.
    private func transmit(
        _ header: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, listening: Bool = false,
        hear: () throws -> Void = {}
    ) throws {
        var done = 0
        let total = header.count + payload.count
        while done < total {
            var parts = (iovec(), iovec())
            var count = 0
            if done < header.count {
                parts.0 = iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: header.baseAddress.map { $0 + done }),
                    iov_len: header.count - done)
                count = 1
            }
            let sent = max(0, done - header.count)
            if sent < payload.count {
                let part = iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress.map { $0 + sent }),
                    iov_len: payload.count - sent)
                if count == 0 { parts.0 = part } else { parts.1 = part }
                count += 1
            }
            let written = withUnsafeMutablePointer(to: &parts) { parts in
                parts.withMemoryRebound(to: iovec.self, capacity: 2) { vector -> Int in
                    var message = msghdr()
                    message.msg_iov = vector
                    message.msg_iovlen = count
                    return sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
                }
            }
            if written >= 0 {
                done += written
                continue
            }
            if errno == EINTR { continue }
            guard errno == EAGAIN else { throw Self.gone(String(cString: strerror(errno))) }
            let start = ContinuousClock.now
            defer {
                let waited = (ContinuousClock.now - start) / .nanoseconds(1)
                blocked.wrappingAdd(Int64(waited), ordering: .relaxed)
            }
            try waitForRoom(listening, hear)
        }
    }

    /// Says goodbye in a way that lets the peer read the last words: no more is sent, and what still comes is dropped
    /// until the peer closes or `seconds` have passed.
    func linger(seconds: Double) {
        shutdown(descriptor, Int32(SHUT_WR))
        let limit = ContinuousClock.now + .seconds(seconds)
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            while ContinuousClock.now < limit {
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                guard poll(&entry, 1, 200) >= 0 else { return }
                guard entry.revents != 0 else { continue }
                let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
                if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { return }
            }
        }
    }

    /// Ends the connection for both directions; a thread that waits on it wakes.
    func shutDown() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Waits for the socket and returns what it is ready for; 0 when the time is over.
    ///
    /// Throws the interrupt's reason.
    private func wait(for events: Int16, seconds: Double) throws -> Int16 {
        let limit = ContinuousClock.now + .seconds(seconds)
        while true {
            try interrupt.check()
            let left = limit - ContinuousClock.now
            guard left > .zero else { return 0 }
            var entries = (
                pollfd(fd: descriptor, events: events, revents: 0),
                pollfd(fd: interrupt.descriptor, events: Int16(POLLIN), revents: 0)
            )
            let milliseconds = Int32(min(left / .milliseconds(1), 60_000)) + 1
            let ready = withUnsafeMutablePointer(to: &entries) {
                $0.withMemoryRebound(to: pollfd.self, capacity: 2) { poll($0, 2, milliseconds) }
            }
            if ready > 0, entries.0.revents != 0 { return entries.0.revents }
        }
    }

    /// Waits until the peer takes in more.
    ///
    /// What it sends meanwhile is heard or stays unread, and shows that it lives: without it the limit of silence holds,
    /// with it the longer one for writing.
    private func waitForRoom(_ listening: Bool, _ hear: () throws -> Void) throws {
        let (idle, write) = limits.withLock { ($0.idle, $0.write) }
        let limit = ContinuousClock.now + .seconds(write)
        var heardAt = ContinuousClock.now
        var unread = unreadCount
        // What was decrypted already makes no socket readable.
        if listening, let tls, tls.hasInput() { try hear() }
        while true {
            let silenceEnds = heardAt + .seconds(idle)
            let until = min(silenceEnds, limit, .now + .seconds(1))
            let events = Int16(listening ? POLLOUT | POLLIN : POLLOUT)
            let ready = try wait(for: events, seconds: (until - .now) / .seconds(1))
            if ready & ~Int16(POLLIN) != 0 { return }
            if ready != 0 {
                try hear()
                heardAt = .now
                unread = unreadCount
                if ContinuousClock.now >= limit { throw Self.stuck(write) }
                continue
            }
            let count = unreadCount
            if count != unread {
                unread = count
                heardAt = .now
            } else if ContinuousClock.now >= silenceEnds {
                throw Self.silent
            }
            if ContinuousClock.now >= limit { throw Self.stuck(write) }
        }
    }

    /// Bytes that have come and were not read.
    private var unreadCount: Int32 {
        var count: Int32 = 0
        return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? count : 0
    }

    private static func stuck(_ seconds: Double) -> ReplicationError {
        ReplicationError(
            .timedOut, "the other agent lives, but took in nothing for \(Int(seconds)) seconds",
            hint: "check the storage and the load of the other host, then start the cycle again; earlier points are"
                + " intact")
    }

    static func gone(_ reason: String) -> ReplicationError {
        ReplicationError(
            .disconnected, "the connection between the agents broke: \(reason)",
            hint: "check the other agent and the network, then start the cycle again; earlier points are intact")
    }

    private static var silent: ReplicationError {
        ReplicationError(
            .disconnected, "the other agent was silent for longer than it may be",
            hint: "check that the other site is up and reachable, then start the cycle again; earlier points are intact"
        )
    }
}
