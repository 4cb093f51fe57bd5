import Foundation
import Testing

@testable import BlockReplication

@Suite("The agent asks a guest over HTTP")
struct AgentProbeTests {
    /// Serves one fixed answer to every connection on the loopback; nil: none at all.
    private func answering(
        _ answer: String?, _ probe: (UInt16) async throws -> Void
    ) async throws {
        let interrupt = try Interrupt()
        let listener = try SocketListener(try SocketAddress("127.0.0.1:0"), interrupt: interrupt)
        let thread = listener.start("http") { socket in
            withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
                _ = try? socket.receiveSome(buffer)
                if let answer {
                    try? Array(answer.utf8).withUnsafeBytes { try socket.send($0, .empty) }
                } else {
                    _ = try? socket.receiveSome(buffer)
                }
            }
            socket.shutDown()
        }
        let port = try #require(UInt16(listener.address.split(separator: ":")[1]))
        do { try await probe(port) } catch {
            interrupt.trigger(error)
            throw error
        }
        interrupt.trigger(ReplicationError.givenUp)
        try await onThread("test-join") { try thread.join() }
    }

    private func get(_ port: UInt16, path: String = "/", seconds: Double = 5) async throws -> HTTPProbeResult {
        let interrupt = try Interrupt()
        let probe = HTTPProbe(host: "127.0.0.1", port: port, path: path, timeoutSeconds: seconds)
        return try await onThread("test-probe") { try HTTPGet.run(probe, interrupt: interrupt) }
    }

    @Test("status and body come back; a body is cut at 64 KiB")
    func answers() async throws {
        try await answering("HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\n{\"records\":7}") { port in
            let result = try await get(port)
            #expect(result == HTTPProbeResult(status: 200, body: "{\"records\":7}"))
        }
        try await answering("HTTP/1.1 503 No\r\n\r\n") { port in
            let result = try await get(port)
            #expect(result == HTTPProbeResult(status: 503, body: ""))
        }
        try await answering("HTTP/1.0 200 OK\r\n\r\n" + String(repeating: "x", count: 300_000)) { port in
            let result = try await get(port)
            #expect(result.body.utf8.count == 64 << 10)
        }
    }

    @Test("silence, other protocols and closed ports are told apart")
    func failures() async throws {
        try await answering(nil) { port in
            #expect(await code { _ = try await get(port, seconds: 0.3) } == .timedOut)
        }
        try await answering("SSH-2.0-x\r\n") { port in
            #expect(await code { _ = try await get(port) } == .protocolViolation)
        }
        let closed = try ClosedPort()
        defer { closed.letGo() }
        #expect(await code { _ = try await get(closed.number) } == .disconnected)
        #expect(await code { _ = try await get(1, path: "/a b\r\nX: y") } == .invalidArgument)
    }
}
