import Foundation

/// HTTP's CONNECT (RFC 9110, 9.3.6): asks a proxy to pass bytes on to an endpoint.
enum ProxyRequest {
    private static let headLimit = 16 << 10

    /// Returns when the proxy has connected; the bytes after are the endpoint's.
    static func connect(_ socket: StreamSocket, to probe: EndpointProbe) throws {
        let place = EndpointNames.joined(probe.host, probe.port)
        let request = "CONNECT \(place) HTTP/1.1\r\nHost: \(place)\r\n\r\n"
        try Array(request.utf8).withUnsafeBytes { try socket.send($0, .empty) }
        let line = try statusLine(of: socket)
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw EndpointFailure(.proxyFailed, "what answers as the proxy does not speak HTTP")
        }
        let said = "the proxy answers \(status) \(words.count > 2 ? String(words[2].prefix(80)) : "")"
            .trimmingCharacters(in: .whitespaces)
        switch status {
        case 200..<300: return
        case 407: throw EndpointFailure(.proxyWantsPassword, said)
        default: throw EndpointFailure(.proxyRefused, "\(said) for \(place)")
        }
    }

    /// Reads up to the end of the head, a byte at a time: not one of those behind it belongs to the proxy.
    private static func statusLine(of socket: StreamSocket) throws -> String {
        var head: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        while head.count < headLimit, !(head.count >= 4 && head.suffix(4).elementsEqual(end)) {
            var byte: UInt8 = 0
            do {
                _ = try withUnsafeMutableBytes(of: &byte) { try socket.receiveSome($0) }
            } catch let error as ReplicationError where error.code == .disconnected {
                throw EndpointFailure(.proxyFailed, "the proxy closed the connection without an answer")
            }
            head.append(byte)
        }
        return String(decoding: head.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}
