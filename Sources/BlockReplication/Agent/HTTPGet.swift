import Foundation

/// A plain HTTP/1.0 GET over a socket: enough to ask a guest how it is, and nothing that a guest could misuse.
enum HTTPGet {
    /// The most of a body that is kept; what comes after is not read.
    static let bodyLimit = 64 << 10
    private static let headLimit = 16 << 10

    /// Asks, and gives up when `timeoutSeconds` have passed in all.
    ///
    /// Blocks.
    static func run(_ probe: HTTPProbe, interrupt: Interrupt) throws -> HTTPProbeResult {
        try check(probe)
        let host = probe.host.contains(":") ? "[\(probe.host)]" : probe.host
        let seconds = min(max(probe.timeoutSeconds, 0.1), 60)
        let alarm = DispatchSource.makeTimerSource()
        alarm.schedule(deadline: .now() + seconds)
        alarm.setEventHandler { interrupt.trigger(timedOut(probe)) }
        alarm.resume()
        defer { alarm.cancel() }

        let socket = try StreamSocket.connect(
            to: try SocketAddress("\(host):\(probe.port)"), interrupt: interrupt, timeoutSeconds: seconds)
        let request = "GET \(probe.path) HTTP/1.0\r\nHost: \(host):\(probe.port)\r\nConnection: close\r\n\r\n"
        try Array(request.utf8).withUnsafeBytes { try socket.send($0, .empty) }
        return try parse(try readAll(socket), probe)
    }

    private static func readAll(_ socket: StreamSocket) throws -> [UInt8] {
        var answer = [UInt8](repeating: 0, count: headLimit + bodyLimit)
        var count = 0
        while count < answer.count {
            do {
                count += try answer.withUnsafeMutableBytes {
                    try socket.receiveSome(UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
                }
            } catch let error as ReplicationError where error.code == .disconnected && count > 0 {
                break  // The end of the connection is the end of an HTTP/1.0 answer.
            }
        }
        return Array(answer.prefix(count))
    }

    private static func parse(_ answer: [UInt8], _ probe: HTTPProbe) throws -> HTTPProbeResult {
        let text = String(decoding: answer.prefix(64), as: UTF8.self)
        let words = text.prefix { $0 != "\r\n" && $0 != "\n" }.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]), (100...599).contains(status)
        else { throw noHTTP(probe) }
        let separator = Array("\r\n\r\n".utf8)
        var body: ArraySlice<UInt8> = []
        for index in 0..<max(0, min(answer.count, headLimit) - 3)
        where Array(answer[index..<index + 4]) == separator {
            body = answer[(index + 4)...].prefix(bodyLimit)
            break
        }
        return HTTPProbeResult(status: status, body: String(decoding: body, as: UTF8.self))
    }

    /// Nothing that ends a line may get into the request.
    private static func check(_ probe: HTTPProbe) throws {
        let isVisible = { (text: String) in text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } }
        guard !probe.host.isEmpty, isVisible(probe.host), probe.path.hasPrefix("/"), isVisible(probe.path),
            probe.path.utf8.count <= 2000, probe.port > 0
        else {
            throw ReplicationError(
                .invalidArgument, "the probe's host, port or path cannot be asked for",
                hint: "give a host, a port above 0, and a path that begins with / and is percent-encoded")
        }
    }

    private static func timedOut(_ probe: HTTPProbe) -> ReplicationError {
        ReplicationError(
            .timedOut, "\(probe.host):\(probe.port) gave no whole answer within \(probe.timeoutSeconds) seconds",
            hint: "check that the guest is up and reachable from this host, or wait longer")
    }

    private static func noHTTP(_ probe: HTTPProbe) -> ReplicationError {
        ReplicationError(
            .protocolViolation, "what answers at \(probe.host):\(probe.port) does not speak HTTP",
            hint: "check the port")
    }
}
