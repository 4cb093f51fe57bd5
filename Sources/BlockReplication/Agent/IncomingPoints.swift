import Synchronization

/// The points that are being received at this host, one at most for a relationship.
final class IncomingPoints: Sendable {
    private let points = Mutex<[String: IncomingPoint]>([:])
    /// Called when a point that was being received can only be thrown away.
    private let failed: @Sendable (IncomingPoint) -> Void

    private let limits: AgentLimits
    private let security: DataSecurity

    init(_ limits: AgentLimits, _ security: DataSecurity, failed: @escaping @Sendable (IncomingPoint) -> Void) {
        self.limits = limits
        self.security = security
        self.failed = failed
    }

    subscript(relationship: String) -> IncomingPoint? { points.withLock { $0[relationship] } }

    /// Every point that is being received.
    var all: [IncomingPoint] { points.withLock { Array($0.values) } }

    func put(_ point: IncomingPoint) { points.withLock { $0[point.relationship] = point } }

    /// Forgets a point, unless another has taken its place.
    func remove(_ point: IncomingPoint) {
        points.withLock { points in
            if points[point.relationship] === point { points[point.relationship] = nil }
        }
    }

    /// Serves one data connection from its first frame to its end.
    ///
    /// `known` is called when it has shown a ticket; false when it had to make room before. Blocks: each connection has its own thread.
    func serve(_ socket: StreamSocket, known: () -> Bool) {
        // A stranger has little time in all, however busily it talks.
        socket.setDeadline(.now + .seconds(limits.helloSeconds))
        guard security.accept(socket, seconds: limits.handshakeSeconds) else { return }
        socket.setDeadline(.now + .seconds(limits.helloSeconds))
        let channel = WireChannel(socket)
        var point: IncomingPoint?
        do {
            let hello = try channel.receive { header, payload in
                guard header.kind == .hello else { throw WireChannel.unexpected(header.kind) }
                return try WireHello(payload)
            }
            let admitted = try admit(hello)
            // One that was put out meanwhile must not touch the point, which its sender may try again.
            guard known() else { throw ReplicationError.crowdedOut }
            point = admitted
            socket.setDeadline(nil)
            try admitted.receive(hello, over: channel)
            channel.end(lingering: 5)
        } catch {
            channel.fail(with: error)
            // A refused second connection with a good ticket is no failure of the point itself.
            if let point, point.hasFailed { failed(point) }
        }
    }

    /// The point that the hello's token is the ticket of.
    ///
    /// Unknown points and wrong tokens look the same to the sender.
    private func admit(_ hello: WireHello) throws -> IncomingPoint {
        let point = self[hello.relationship]
        let token = point?.token ?? [UInt8](repeating: 0, count: WireHello.tokenSize)
        guard equalInConstantTime(token, hello.token), let point, point.generation == hello.generation else {
            throw ReplicationError.refusedTicket("no point that is open here has it")
        }
        return point
    }
}
