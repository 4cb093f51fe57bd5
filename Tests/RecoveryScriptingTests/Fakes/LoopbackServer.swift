import Foundation
import Glibc
import Synchronization
import TestSupport

/// A web server on loopback that answers as a test says, one thread a connection; each connection gets one answer.
final class LoopbackServer: Sendable {
    enum Reply: Sendable {
        /// These bytes, and then the end.
        case text(String)
        /// Nothing, until the client gives up.
        case silence
        /// The text, and then the filling again and again, with the pause between, until the client gives up.
        case endless(String, filling: String, pauseMicroseconds: UInt32 = 0)
    }

    var port: Int { listener.port }
    private let listener: LoopbackListener
    private let seen = Requests()

    /// Requests as they came, head and body.
    var requests: [String] { seen.all.withLock { $0 } }

    private final class Requests: Sendable {
        let all = Mutex<[String]>([])
    }

    init(_ answer: @escaping @Sendable (String) -> Reply) throws {
        let seen = seen
        listener = try LoopbackListener { client in
            Self.serve(client, answer) { request in seen.all.withLock { $0.append(request) } }
        }
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
