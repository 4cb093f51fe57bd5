import Foundation
import Glibc
import Synchronization

@testable import BlockReplication

/// Stands between a sender and a receiver, counts what passes, and may change frames: their sums are made anew.
final class FrameProxy: Sendable {
    /// Changes a frame.
    typealias Alter = @Sendable (inout FrameHeader, inout [UInt8]) -> Void

    struct Counts: Sendable {
        /// Bytes that passed, framing and all.
        var (forth, back) = (0, 0)
        var kinds: [FrameKind: Int] = [:]
    }

    let address: String
    private let interrupt: Interrupt
    private let thread: WorkerThread<Void>
    private let shared = Shared()

    /// `alter` changes the receiver's frames, `alterForth` the sender's; `bytesPerSecond` makes the way there slow.
    init(
        to target: String, alter: @escaping Alter = { _, _ in }, alterForth: @escaping Alter = { _, _ in },
        bytesPerSecond: Double = .infinity
    ) throws {
        let interrupt = try Interrupt()
        let listener = try SocketListener(try SocketAddress("127.0.0.1:0"), interrupt: interrupt)
        address = listener.address
        self.interrupt = interrupt
        let shared = shared
        thread = listener.start("frame-proxy") { client in
            guard
                let server = try? StreamSocket.connect(
                    to: SocketAddress(target), interrupt: client.interrupt, timeoutSeconds: 5)
            else { return }
            let back = WorkerThread("frame-proxy-back") {
                Self.pump(server, client) { header, payload in
                    alter(&header, &payload)
                    shared.counts.withLock { $0.back += FrameHeader.size + payload.count }
                }
            }
            Self.pump(client, server) { header, payload in
                alterForth(&header, &payload)
                // The link's own pace.
                usleep(UInt32(Double(FrameHeader.size + payload.count) / bytesPerSecond * 1e6))
                shared.counts.withLock {
                    $0.forth += FrameHeader.size + payload.count
                    $0.kinds[header.kind, default: 0] += 1
                }
            }
            try? back.join()
        }
    }

    var counts: Counts { shared.counts.withLock { $0 } }

    func end() { interrupt.trigger(ReplicationError.givenUp) }

    private final class Shared: Sendable {
        let counts = Mutex(Counts())
    }

    private static func pump(
        _ from: StreamSocket, _ to: StreamSocket, _ pass: (inout FrameHeader, inout [UInt8]) -> Void
    ) {
        defer {
            from.shutDown()
            to.shutDown()
        }
        var head = [UInt8](repeating: 0, count: FrameHeader.size)
        while (try? head.withUnsafeMutableBytes { try from.receive($0) }) != nil,
            var header = try? head.withUnsafeBytes({ try FrameHeader($0) })
        {
            var payload = [UInt8](repeating: 0, count: header.payloadLength)
            guard (try? payload.withUnsafeMutableBytes { try from.receive($0) }) != nil else { return }
            pass(&header, &payload)
            if !header.kind.namesRange { header.length = UInt64(payload.count) }
            let sent: Void? = head.withUnsafeMutableBytes { head in
                payload.withUnsafeBytes { payload in
                    header.seal(payload: payload, into: head)
                    return try? to.send(UnsafeRawBufferPointer(head), payload)
                }
            }
            guard sent != nil else { return }
        }
    }
}
