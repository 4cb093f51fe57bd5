import Foundation
import Synchronization

/// One connection on an agent's control socket: messages of JSON, each after its length (4 bytes, big-endian).
final class ControlConnection: Sendable {
    /// The longest message, either way.
    static let messageLimit = 4 << 20

    private let socket: StreamSocket
    private let output = Mutex(())

    /// Takes the socket over; a peer that reads nothing for `writeLimitSeconds` is gone.
    init(_ socket: StreamSocket, writeLimitSeconds: Double = 1e9) {
        self.socket = socket
        socket.setWriteLimit(seconds: writeLimitSeconds)
        // Nobody needs to speak on a control connection; its end is seen at once, for it never leaves the machine.
        socket.setIdleLimit(seconds: 1e9)
    }

    /// The next message; throws when the connection ends or what comes is no message.
    func read() throws -> Data {
        var length: UInt32 = 0
        try withUnsafeMutableBytes(of: &length) { try socket.receive($0) }
        let count = Int(UInt32(bigEndian: length))
        guard count > 0, count <= Self.messageLimit else {
            throw ReplicationError.malformed("a control message announces \(count) bytes")
        }
        // Memory grows with what arrives, not with what is announced.
        var message = Data()
        while message.count < count {
            let part = min(count - message.count, 64 << 10)
            let start = message.count
            message.append(contentsOf: repeatElement(0, count: part))
            try message.withUnsafeMutableBytes {
                try socket.receive(UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
            }
        }
        return message
    }

    /// Sends one message; several threads may.
    func write(_ message: Data) throws {
        guard message.count <= Self.messageLimit else {
            throw ReplicationError(
                .unsupported, "a control message of \(message.count) bytes is longer than \(Self.messageLimit)",
                hint: "ask for less at once")
        }
        let length = UInt32(message.count).bigEndian
        try output.withLock { _ in
            try withUnsafeBytes(of: length) { header in
                do { try message.withUnsafeBytes { try socket.send(header, $0) } } catch {
                    // Half a message may be out: nothing after it could be understood.
                    socket.shutDown()
                    throw error
                }
            }
        }
    }

    /// Ends the connection; a thread that reads from it wakes.
    func end() { socket.shutDown() }
}
