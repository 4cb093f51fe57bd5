import Foundation
import Synchronization

/// Frames over a stream socket; heartbeats and the peer's failures are dealt with here.
///
/// One thread sends and receives; a second one sends heartbeats while the first is at work elsewhere.
final class WireChannel: Sendable {
    let socket: StreamSocket
    private let input = Mutex(FrameBuffer())
    private let output: Mutex<FrameBuffer>
    private let heart: Heart

    /// Takes the socket over and starts its heartbeat.
    init(_ socket: StreamSocket) {
        self.socket = socket
        output = Mutex(FrameBuffer())
        heart = Heart()
        let heart = heart
        let thread = Thread { [weak self] in
            while heart.beats(after: StreamSocket.heartbeatIntervalSeconds) {
                guard let self else { return }
                self.beat()
            }
        }
        thread.name = "agent-heartbeat"
        thread.start()
    }

    deinit { heart.stop() }

    /// Sends a frame with a payload.
    func send(_ kind: FrameKind, offset: UInt64 = 0, _ payload: UnsafeRawBufferPointer) throws {
        try send(FrameHeader(kind: kind, offset: offset, length: UInt64(payload.count)), payload) { _ in }
    }

    /// Sends a frame that names a range of the disk, or has nothing to say.
    func send(_ kind: FrameKind, offset: UInt64 = 0, length: UInt64 = 0) throws {
        try send(FrameHeader(kind: kind, offset: offset, length: length), .empty) { _ in }
    }

    /// Sends a frame and shows its 32 header bytes as sent to `sealed`, for a running checksum.
    ///
    /// `hear` is called, when `listening`, for what comes while the peer takes in nothing; it must not send.
    func send(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, listening: Bool = false,
        hear: () throws -> Void = {}, sealed: (UnsafeRawBufferPointer) -> Void
    ) throws {
        do {
            try output.withLock { buffer in
                var header = header
                header.seal(payload: payload, into: buffer.header)
                sealed(UnsafeRawBufferPointer(buffer.header))
                try socket.send(
                    UnsafeRawBufferPointer(buffer.header), payload, listening: listening, hear: hear)
            }
        } catch let error as ReplicationError where error.code == .disconnected {
            // The peer may have said why before it went.
            if socket.hasInput() { try throwFailureFromPeer() }
            throw error
        }
    }

    /// Takes what the peer has said in the meantime, and throws it if it is a failure; for a sender between two frames.
    func hear(_ body: (FrameHeader, UnsafeRawBufferPointer) throws -> Void) throws {
        while socket.hasInput() {
            try receive { header, payload in
                if header.kind != .heartbeat { try body(header, payload) }
            }
        }
    }

    /// Receives the next frame that is no heartbeat, unless `beats` asks for these as well, and checks its sum.
    ///
    /// The payload is valid inside `body` alone. A failure frame is thrown as the error it carries.
    func receive<Result>(
        _ body: (FrameHeader, UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        try input.withLock { buffer in
            try socket.receive(buffer.header)
            let header = try FrameHeader(UnsafeRawBufferPointer(buffer.header))
            let payload = buffer.payload(header.payloadLength)
            try socket.receive(payload)
            let sum = frameChecksum(
                header: UnsafeRawBufferPointer(rebasing: buffer.header[..<FrameHeader.checkedSize]),
                payload: UnsafeRawBufferPointer(payload))
            guard sum == header.checksum else {
                throw ReplicationError(
                    .checksumMismatch, "a frame arrived with another content than was sent",
                    hint: "check network hardware and memory of both hosts, then start the cycle again; nothing of"
                        + " the frame was written",
                    context: ["offset": String(header.offset), "kind": "\(header.kind)"])
            }
            if header.kind == .failure { throw WireFailure.decode(UnsafeRawBufferPointer(payload)) }
            return try body(header, UnsafeRawBufferPointer(payload))
        }
    }

    /// Receives the next frame that is no heartbeat.
    func receiveMessage<Result>(
        _ body: (FrameHeader, UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        while true {
            let result = try receive { header, payload in
                header.kind == .heartbeat ? nil : try body(header, payload)
            }
            if let result { return result }
        }
    }

    /// The header bytes of the frame that was received last, for a running checksum.
    func withLastHeader(_ body: (UnsafeRawBufferPointer) -> Void) {
        input.withLock { body(UnsafeRawBufferPointer($0.header)) }
    }

    /// Tells the peer why it ends, waits until it has heard, and ends the connection.
    func fail(with error: any Error) {
        let payload = WireFailure.encode(ReplicationError.wrapping(error))
        payload.withUnsafeBytes { bytes in
            try? send(.failure, bytes)
        }
        end(lingering: 5)
    }

    /// Ends the connection.
    func end(lingering seconds: Double = 0) {
        heart.stop()
        if seconds > 0 { socket.linger(seconds: seconds) }
        socket.shutDown()
    }

    static func unexpected(_ kind: FrameKind) -> ReplicationError {
        .malformed("a frame (\(kind)) came where the protocol has no place for it")
    }

    private func throwFailureFromPeer() throws {
        do {
            while true { try receive { _, _ in } }
        } catch let error as ReplicationError where error.code != .disconnected {
            throw error
        } catch {}
    }

    /// A thread in the middle of a long frame holds the lock, and needs no heartbeat.
    private func beat() {
        _ = output.withLockIfAvailable { buffer in
            var header = FrameHeader(kind: .heartbeat)
            header.seal(payload: .empty, into: buffer.header)
            try? socket.send(UnsafeRawBufferPointer(buffer.header), .empty)
        }
    }
}

/// Memory for one frame: its header, and a payload that is made at the size first needed.
private struct FrameBuffer: ~Copyable, @unchecked Sendable {  // reached through the channel's mutexes alone
    let header = UnsafeMutableRawBufferPointer.allocate(byteCount: FrameHeader.size, alignment: 8)
    private var space = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Room for `count` bytes, which the header's check has bounded.
    mutating func payload(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if count > space.count {
            space.deallocate()
            space = .allocate(byteCount: count, alignment: 4096)
        }
        return UnsafeMutableRawBufferPointer(rebasing: space[..<count])
    }

    deinit {
        header.deallocate()
        space.deallocate()
    }
}

/// The clock of a heartbeat thread.
private final class Heart: @unchecked Sendable {  // `stopped` is guarded by `condition`
    private let condition = NSCondition()
    private var stopped = false

    /// True when `seconds` have passed; false once stopped.
    func beats(after seconds: Double) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        let limit = Date(timeIntervalSinceNow: seconds)
        while !stopped {
            if !condition.wait(until: limit) { return !stopped }
        }
        return false
    }

    func stop() {
        condition.lock()
        stopped = true
        condition.broadcast()
        condition.unlock()
    }
}

extension UnsafeRawBufferPointer {
    /// No bytes.
    static var empty: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }
}
