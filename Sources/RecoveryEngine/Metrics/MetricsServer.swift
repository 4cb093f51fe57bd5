import Foundation
import Glibc
import SiteModel
import Synchronization

/// Serves figures to a collector: `GET /metrics` by HTTP/1.0, one request a connection, and nothing else.
///
/// One thread answers one connection after the other, each within 5 s and 8 KiB, so that no client can hold more than a
/// moment of it.
///
///     accept ─▶ read head (≤ 8 KiB, ≤ 5 s) ─▶ GET /metrics? ─▶ figures, now ─▶ close
package final class MetricsServer: Sendable {
    private static let longestRequest = 8192
    private static let patienceSeconds = 5.0

    /// The port that was taken; another than was asked for when that was 0.
    package let port: UInt16
    private let listener: Int32
    private let isClosed = Mutex(false)
    private let end: AsyncStream<Never>

    /// Begins to serve.
    ///
    /// - Parameter figures: read anew for each request.
    /// - Throws: `EngineError` of kind `failed` when the address cannot be had.
    package init(at address: MetricsAddress, _ figures: @escaping @Sendable () async throws -> String)
        throws(EngineError)
    {
        (listener, port) = try Self.listen(at: address)
        let (end, over) = AsyncStream<Never>.makeStream()
        self.end = end
        let thread = Thread { [self] in
            while let client = next() {
                Self.serve(client, figures)
                Glibc.close(client)
            }
            over.finish()
        }
        thread.name = "metrics"
        thread.start()
    }

    /// Ends serving; returns when the last answer is out.
    package func close() async {
        let isFirst = isClosed.withLock { closed in
            defer { closed = true }
            return !closed
        }
        guard isFirst else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        // Never on a thread of Swift's pool: the last answer may need it.
        for await _ in end {}
        Glibc.close(listener)
    }

    private func next() -> Int32? {
        while !isClosed.withLock({ $0 }) {
            let client = accept(listener, nil, nil)
            if client >= 0 {
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                return client
            }
            if errno == EINTR || errno == ECONNABORTED { continue }
            guard !isClosed.withLock({ $0 }) else { return nil }
            // Out of descriptors, most likely: that passes.
            usleep(100_000)
        }
        return nil
    }

    // MARK: One request

    private static func serve(_ client: Int32, _ figures: @escaping @Sendable () async throws -> String) {
        var limit = timeval(tv_sec: Int(patienceSeconds), tv_usec: 0)
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard let line = requestLine(from: client) else {
            return answer(client, "400 Bad Request", "this is no request\n")
        }
        let parts = line.split(separator: " ")
        guard parts.count == 3, parts[2].hasPrefix("HTTP/1.") else {
            return answer(client, "400 Bad Request", "this is no request\n")
        }
        guard parts[0] == "GET" || parts[0] == "HEAD" else {
            return answer(client, "405 Method Not Allowed", "only GET\n", more: "Allow: GET, HEAD\r\n")
        }
        guard parts[1].prefix(while: { $0 != "?" }) == "/metrics" else {
            return answer(client, "404 Not Found", "the figures are at /metrics\n")
        }
        switch wait(for: figures) {
        case .success(let text):
            answer(client, "200 OK", text, type: MetricsText.contentType, withBody: parts[0] == "GET")
        case .failure:
            // The message may name paths and hosts: it is for the log of this program, not for who asks.
            answer(client, "503 Service Unavailable", "the vault cannot be read now\n")
        }
    }

    /// Waits on this thread, which does nothing else, for work that runs on Swift's.
    private static func wait(
        for figures: @escaping @Sendable () async throws -> String
    ) -> Result<String, any Error> {
        let (ready, outcome) = (DispatchSemaphore(value: 0), Outcome())
        Task {
            do { outcome.set(.success(try await figures())) } catch { outcome.set(.failure(error)) }
            ready.signal()
        }
        ready.wait()
        return outcome.value
    }

    private final class Outcome: Sendable {
        private let state = Mutex<Result<String, any Error>>(.failure(CancellationError()))
        var value: Result<String, any Error> { state.withLock { $0 } }
        func set(_ result: Result<String, any Error>) { state.withLock { $0 = result } }
    }

    /// The first line of a request whose head is whole; nil when none comes in time and in bounds.
    private static func requestLine(from client: Int32) -> String? {
        let end = ContinuousClock.now + .seconds(patienceSeconds)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 2048)
        while bytes.count < longestRequest {
            let left = (end - ContinuousClock.now) / .milliseconds(1)
            var entry = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
            guard left > 0, poll(&entry, 1, Int32(left) + 1) > 0 else { return nil }
            let count = recv(client, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            bytes += chunk.prefix(count)
            if Self.isWhole(bytes) {
                let line = bytes.prefix { $0 != 0x0d && $0 != 0x0a }
                return String(validating: line, as: UTF8.self)
            }
        }
        return nil
    }

    private static func isWhole(_ head: [UInt8]) -> Bool {
        let plain = head.filter { $0 != 0x0d }
        return plain.indices.dropFirst().contains { plain[$0] == 0x0a && plain[$0 - 1] == 0x0a }
    }

    private static func answer(
        _ client: Int32, _ status: String, _ body: String, type: String = "text/plain; charset=utf-8",
        more: String = "",
        withBody: Bool = true
    ) {
        let head =
            "HTTP/1.0 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\(more)Connection: close\r\n\r\n"
        let bytes = Array((withBody ? head + body : head).utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                send(client, buffer.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            sent += count
        }
        shutdown(client, Int32(SHUT_WR))
    }

    // MARK: Listening

    private static func listen(at address: MetricsAddress) throws(EngineError) -> (Int32, UInt16) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address.host, String(address.port), &hints, &found) == 0, let found else {
            throw failure(address, "it is no address of this machine")
        }
        defer { freeaddrinfo(found) }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let listener = socket(found.pointee.ai_family, type, 0)
        guard listener >= 0 else { throw failure(address, lastSystemError()) }
        var yes: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard bind(listener, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0, Glibc.listen(listener, 16) == 0
        else {
            let reason = lastSystemError()
            Glibc.close(listener)
            throw failure(address, reason)
        }
        return (listener, boundPort(listener) ?? address.port)
    }

    /// The port stands at the same place in addresses of both families.
    private static func boundPort(_ listener: Int32) -> UInt16? {
        var address = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let isKnown = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) == 0 }
        }
        return isKnown ? UInt16(bigEndian: address.sin6_port) : nil
    }

    private static func failure(_ address: MetricsAddress, _ reason: String) -> EngineError {
        EngineError(
            .failed, "figures cannot be served at \(address): \(reason)",
            hint: "choose another port, or end what has this one", object: address.description)
    }
}
