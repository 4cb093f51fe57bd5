import Foundation
import Glibc
import Synchronization
import TestSupport

/// One connection, read by lines.
final class LineConnection {
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

/// A web server that keeps what is posted to it, and answers with these statuses in turn (the last one again and again).
final class HookServer: Sendable {
    private let listener: LoopbackListener
    private let box: Box
    var received: [String] { box.all }
    var url: String { "http://127.0.0.1:\(listener.port)/hook/s3cret-token" }

    init(statuses: [Int] = [204]) throws {
        let posts = Box()
        box = posts
        listener = try LoopbackListener { client in
            let connection = LineConnection(descriptor: client)
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

    private let listener: LoopbackListener
    private let box: LetterBox
    var address: String { "127.0.0.1:\(listener.port)" }
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
        listener = try LoopbackListener { client in
            let connection = LineConnection(descriptor: client)
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
