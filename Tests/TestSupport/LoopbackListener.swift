import Foundation
import Glibc

/// A server on loopback with a thread for each connection, until it is let go of.
package final class LoopbackListener: Sendable {
    package var port: Int { socket.port }
    private let socket: ListeningSocket

    /// - Parameter serve: gets the descriptor of a connection, which is closed when it returns.
    package init(_ serve: @escaping @Sendable (Int32) -> Void) throws {
        let socket = try ListeningSocket()
        self.socket = socket
        Thread.detachNewThread {
            while true {
                let client = accept(socket.descriptor, nil, nil)
                guard client >= 0 else { return }
                Thread.detachNewThread {
                    serve(client)
                    // Closing alone leaves it open while a program that another test started holds a copy of it.
                    shutdown(client, Int32(SHUT_RDWR))
                    close(client)
                }
            }
        }
    }

    deinit { shutdown(socket.descriptor, Int32(SHUT_RDWR)) }
}

/// A socket that listens, closed when its server and the thread that accepts have both let go of it.
///
/// Were it closed by the server, the thread might go on with a number that another test's server has by then, and answer
/// in its place.
private final class ListeningSocket: Sendable {
    let descriptor: Int32
    let port: Int

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        guard isBound else { throw POSIXError(.EADDRNOTAVAIL) }
    }

    deinit { close(descriptor) }
}
