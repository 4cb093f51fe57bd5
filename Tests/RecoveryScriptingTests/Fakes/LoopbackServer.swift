import Foundation
import Glibc
import Synchronization

/// A web server on loopback that answers as a test says, one thread a connection; each connection gets one answer.
///
/// `@unchecked Sendable`: the descriptor is set once, and the requests are behind their lock.
final class LoopbackServer: @unchecked Sendable {
    enum Reply: Sendable {
        /// These bytes, and then the end.
        case text(String)
        /// Nothing, until the client gives up.
        case silence
        /// The text, and then the filling again and again, with the pause between, until the client gives up.
        case endless(String, filling: String, pauseMicroseconds: UInt32 = 0)
    }

    let port: Int
    private let listener: Int32
    private let seen = Mutex<[String]>([])

    /// Requests as they came, head and body.
    var requests: [String] { seen.withLock { $0 } }

    init(_ answer: @escaping @Sendable (String) -> Reply) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                Thread.detachNewThread { [weak self] in
                    Self.serve(client, answer) { request in self?.seen.withLock { $0.append(request) } }
                    // Closing alone leaves it open while a program that another test started holds a copy of it.
                    shutdown(client, Int32(SHUT_RDWR))
                    close(client)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    func url(_ path: String) -> String { "http://127.0.0.1:\(port)\(path)" }

    private static func serve(_ client: Int32, _ answer: (String) -> Reply, note: (String) -> Void) {
        guard let request = read(from: client) else { return }
        note(request)
        switch answer(request) {
        case .text(let text): _ = say(text, to: client)
        case .silence: while !more(from: client).isEmpty {}
        case .endless(let head, let filling, let pause):
            guard say(head, to: client) else { return }
            while say(filling, to: client) { usleep(pause) }
        }
    }

    private static func read(from client: Int32) -> String? {
        var bytes: [UInt8] = []
        while true {
            let chunk = more(from: client)
            bytes += chunk
            let text = String(decoding: bytes, as: UTF8.self)
            if let head = text.range(of: "\r\n\r\n") {
                let length = text.lowercased().firstMatch(of: /content-length: (\d+)/).flatMap { Int($0.1) } ?? 0
                if text[head.upperBound...].utf8.count >= length { return text }
            }
            if chunk.isEmpty { return nil }
        }
    }

    private static func more(from client: Int32) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(client, &chunk, chunk.count, 0)
        return Array(chunk.prefix(max(0, count)))
    }

    private static func say(_ text: String, to client: Int32) -> Bool {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(client, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
