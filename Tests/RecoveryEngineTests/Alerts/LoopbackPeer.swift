import Foundation
import Glibc
import Synchronization

/// A server on loopback that handles one connection after the other on a thread of its own.
///
/// `@unchecked Sendable`: the descriptor and the port are set once.
final class LoopbackPeer: @unchecked Sendable {
    let port: Int
    private let listener: Int32

    init(_ serve: @escaping @Sendable (Connection) -> Void) throws {
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
        Thread.detachNewThread {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                serve(Connection(descriptor: client))
                // Closing alone leaves it open while a program that another test started holds a copy of it.
                shutdown(client, Int32(SHUT_RDWR))
                close(client)
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// One connection, read by lines.
    final class Connection {
        let descriptor: Int32
        private var buffer: [UInt8] = []

        init(descriptor: Int32) { self.descriptor = descriptor }

        func line() -> String? {
            while true {
                if let end = buffer.firstIndex(of: 0x0a) {
                    let line = String(decoding: buffer[..<end], as: UTF8.self)
                    buffer.removeFirst(end + 1)
                    return line.hasSuffix("\r") ? String(line.dropLast()) : line
                }
                guard more() else { return nil }
            }
        }

        func bytes(_ count: Int) -> [UInt8] {
            while buffer.count < count, more() {}
            defer { buffer.removeFirst(min(count, buffer.count)) }
            return Array(buffer.prefix(count))
        }

        private func more() -> Bool {
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &chunk, chunk.count, 0)
            buffer += chunk.prefix(max(0, count))
            return count > 0
        }

        func say(_ text: String) {
            let bytes = Array(text.utf8)
            _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) }
        }
    }
}

/// A web server that keeps what is posted to it, and answers with these statuses in turn (the last one again and again).
final class HookServer: Sendable {
    private let peer: LoopbackPeer
    private let box: Box
    var received: [String] { box.all }
    var url: String { "http://127.0.0.1:\(peer.port)/hook/s3cret-token" }

    init(statuses: [Int] = [204]) throws {
        let posts = Box()
        box = posts
        peer = try LoopbackPeer { connection in
            var length = 0
            while let line = connection.line(), !line.isEmpty {
                if line.lowercased().hasPrefix("content-length:") {
                    length = Int(line.split(separator: " ").last ?? "") ?? 0
                }
            }
            let body = String(decoding: connection.bytes(length), as: UTF8.self)
            let number = posts.add(body)
            let status = statuses[min(number, statuses.count - 1)]
            connection.say("HTTP/1.1 \(status) Word\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
    }

    private final class Box: Sendable {
        private let state = Mutex<[String]>([])
        var all: [String] { state.withLock { $0 } }
        /// The number of this one, from 0.
        func add(_ text: String) -> Int {
            state.withLock { list in
                list.append(text)
                return list.count - 1
            }
        }
    }
}

/// An SMTP server that keeps what it is sent: as much of RFC 5321 as a client says in clear.
final class MailServer: Sendable {
    struct Letter: Hashable, Sendable {
        var from = ""
        var to: [String] = []
        var lines: [String] = []
    }

    private let peer: LoopbackPeer
    private let box: LetterBox
    var address: String { "127.0.0.1:\(peer.port)" }
    var letters: [Letter] { box.all }

    private final class LetterBox: Sendable {
        private let state = Mutex<[Letter]>([])
        var all: [Letter] { state.withLock { $0 } }
        func add(_ letter: Letter) { state.withLock { $0.append(letter) } }
    }

    /// - Parameter refusing: a recipient that is not taken.
    init(refusing: String? = nil) throws {
        let box = LetterBox()
        self.box = box
        peer = try LoopbackPeer { connection in
            var letter = Letter()
            connection.say("220 test\r\n")
            while let line = connection.line() {
                let word = line.prefix(4).uppercased()
                switch word {
                case "EHLO", "HELO": connection.say("250 test\r\n")
                case "MAIL":
                    letter.from = line
                    connection.say("250 ok\r\n")
                case "RCPT":
                    if let refusing, line.contains(refusing) {
                        connection.say("550 no such user\r\n")
                    } else {
                        letter.to.append(line)
                        connection.say("250 ok\r\n")
                    }
                case "DATA":
                    connection.say("354 go on\r\n")
                    while let text = connection.line(), text != "." {
                        letter.lines.append(text.hasPrefix(".") ? String(text.dropFirst()) : text)
                    }
                    box.add(letter)
                    letter = Letter()
                    connection.say("250 taken\r\n")
                case "QUIT":
                    connection.say("221 bye\r\n")
                    return
                default: connection.say("502 what\r\n")
                }
            }
        }
    }
}
