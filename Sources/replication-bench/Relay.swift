import Foundation
import Glibc
import Synchronization

/// A link between two agents: passes bytes on at no more than its rate, and counts those that go there.
final class Relay: Sendable {
    let address: String
    private let listener: Int32
    private let sent = Atomic(0)

    var bytes: Int { sent.load(ordering: .relaxed) }

    /// - Parameter bytesPerSecond: of all connections' way there together; nil for as fast as it goes.
    init(to target: String, bytesPerSecond: Double? = nil) throws {
        guard let port = target.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            throw BenchError("\(target) is no address")
        }
        let (descriptor, own) = try Place.listening()
        listener = descriptor
        address = "127.0.0.1:\(own)"
        let pace = Pace(bytesPerSecond)
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(descriptor, nil, nil)
                guard client >= 0 else { return }
                guard let server = try? Place.port(port).connected() else {
                    close(client)
                    continue
                }
                for socket in [client, server] {
                    var (yes, room) = (Int32(1), Int32(256 << 10))
                    setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
                    // Much less than a second's worth may lie in the link.
                    if bytesPerSecond != nil { setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, 4) }
                }
                let back = DispatchSemaphore(value: 0)
                Thread.detachNewThread {
                    Self.pump(server, client) { _ in }
                    back.signal()
                }
                Thread.detachNewThread {
                    Self.pump(client, server) {
                        pace.pass($0)
                        self.sent.add($0, ordering: .relaxed)
                    }
                    back.wait()
                    close(client)
                    close(server)
                }
            }
        }
    }

    func end() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func pump(_ from: Int32, _ to: Int32, _ passing: (Int) -> Void) {
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer {
            buffer.deallocate()
            shutdown(to, Int32(SHUT_WR))
        }
        while true {
            let count = recv(from, buffer, 1 << 16, 0)
            guard count > 0 else { return }
            passing(count)
            var done = 0
            while done < count {
                let written = send(to, buffer + done, count - done, Int32(MSG_NOSIGNAL))
                guard written > 0 else { return }
                done += written
            }
        }
    }

    /// When the next bytes may pass, one after the other.
    private final class Pace: Sendable {
        private let secondsPerByte: Double?
        private let free = Mutex(ContinuousClock.now)

        init(_ bytesPerSecond: Double?) { secondsPerByte = bytesPerSecond.map { 1 / $0 } }

        func pass(_ bytes: Int) {
            guard let secondsPerByte else { return }
            let until = free.withLock { free in
                free = max(free, ContinuousClock.now) + .seconds(Double(bytes) * secondsPerByte)
                return free
            }
            let wait = (until - ContinuousClock.now) / .seconds(1)
            if wait > 0.0005 { usleep(UInt32(wait * 1e6)) }
        }
    }
}
