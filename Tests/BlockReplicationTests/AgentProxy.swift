import Foundation
import Glibc
import Synchronization

@testable import BlockReplication

/// Stands between a sender and a receiver, and does to the sender's bytes what networks do.
final class FaultyProxy: Sendable {
    enum Fault: Sendable {
        /// The lowest bit of the byte at this position of the stream is turned.
        case flip(at: Int)
        /// The same in what comes back.
        case flipBack(at: Int)
        /// Both connections end after so many bytes.
        case cut(after: Int)
        /// Nothing more is passed on after so many bytes, until the proxy ends.
        case stall(after: Int)
    }

    let address: String
    private let interrupt: Interrupt
    private let thread: WorkerThread<Void>
    private let mark: Mark

    init(to target: String, _ fault: Fault) throws {
        let interrupt = try Interrupt()
        let listener = try SocketListener(try SocketAddress("127.0.0.1:0"), interrupt: interrupt)
        address = listener.address
        self.interrupt = interrupt
        let mark = Mark()
        self.mark = mark
        thread = listener.start("proxy") { client in
            guard
                let server = try? StreamSocket.connect(
                    to: SocketAddress(target), interrupt: client.interrupt, timeoutSeconds: 5)
            else { return }
            var backFault: Fault?
            if case .flipBack(let position) = fault { backFault = .flip(at: position) }
            let back = WorkerThread("proxy-back") { [backFault] in Self.pump(server, client, backFault, mark) }
            Self.pump(client, server, fault, mark)
            try? back.join()
        }
    }

    /// Whether the stall has been reached.
    var hasStalled: Bool { mark.value.withLock { $0 } }

    func end() { interrupt.trigger(ReplicationError.givenUp) }

    private final class Mark: Sendable {
        let value = Mutex(false)
    }

    private static func pump(_ from: StreamSocket, _ to: StreamSocket, _ fault: Fault?, _ mark: Mark) {
        defer {
            from.shutDown()
            to.shutDown()
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
        defer { buffer.deallocate() }
        var passed = 0
        while let count = try? from.receiveSome(buffer) {
            var allowed = count
            switch fault {
            case .flip(let position) where position >= passed && position < passed + count:
                buffer[position - passed] ^= 1
            case .cut(let limit) where passed + count > limit:
                return
            case .stall(let limit) where passed + count > limit:
                allowed = max(0, limit - passed)
                mark.value.withLock { $0 = true }
            default: break
            }
            passed += allowed
            let part = UnsafeRawBufferPointer(rebasing: buffer[..<allowed])
            guard allowed > 0 else {
                // The sender's end, or the proxy's, ends the stall.
                continue
            }
            guard (try? to.send(part, .empty)) != nil else { return }
        }
    }
}
