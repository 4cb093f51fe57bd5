import Foundation
import Glibc
import SiteModel
import Synchronization
import Testing

@testable import BlockReplication

@Suite("Probes of endpoints")
struct EndpointTests {
    private func probe(
        _ port: UInt16, _ service: EndpointProbe.Service = .tcp, host: String = "127.0.0.1",
        proxy: UInt16? = nil, authorities: String? = nil, seconds: Double = 10
    ) -> EndpointProbe {
        EndpointProbe(
            host: host, port: port, service: service,
            proxy: proxy.map { EndpointProbe.Proxy(host: "127.0.0.1", port: $0) }, authorities: authorities,
            timeoutSeconds: seconds)
    }

    @Test("a port that takes connections passes, and the address that answered is told")
    func open() async throws {
        let outcome = try await serving({ _ in }, { await EndpointProber.run(probe($0)) })
        #expect(outcome.failure == nil)
        #expect(outcome.connectedTo == "127.0.0.1" && outcome.addresses == ["127.0.0.1"])
    }

    @Test("a refused port, an unknown name and a host that says nothing are three causes")
    func causes() async throws {
        let closed = try ClosedPort()
        defer { closed.letGo() }
        let refused = await EndpointProber.run(probe(closed.number))
        #expect(refused.failure?.cause == .refused, "\(refused)")
        let unknown = await EndpointProber.run(probe(443, host: "no-such-host.invalid"))
        #expect(unknown.failure?.cause == .nameUnknown, "\(unknown)")
        // A server that takes the connection and says nothing: the handshake has a limit.
        let silent = try await serving({ _ = readHead($0) }) { port in
            await EndpointProber.run(probe(port, .tls, seconds: 0.3))
        }
        #expect(silent.failure?.cause == .timedOut, "\(silent)")
        #expect(silent.failure?.message.contains("shaking hands") == true)
        #expect(silent.seconds < 5)
    }

    @Test("a backlog that is full hangs a connection, which has a limit, too")
    func hanging() async throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                try #require(Glibc.bind(descriptor, pointer, length) == 0 && listen(descriptor, 0) == 0)
                getsockname(descriptor, pointer, &length)
            }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
        // Linux takes in one more than the backlog; whoever comes after waits for an answer that does not come.
        var outcomes: [EndpointOutcome] = []
        var held: [StreamSocket] = []
        for _ in 0..<4 {
            if let socket = try? StreamSocket.connect(
                to: SocketAddress("127.0.0.1:\(port)"), interrupt: Interrupt(), timeoutSeconds: 0.2)
            {
                held.append(socket)
            }
        }
        outcomes.append(await EndpointProber.run(probe(port, seconds: 0.5)))
        #expect(outcomes[0].failure?.cause == .timedOut, "\(outcomes)")
        #expect(outcomes[0].failure?.message.contains("\(port)") == true)
        withExtendedLifetime(held) {}
    }

    @Test(
        "nothing that is no host name gets out",
        arguments: ["", "a b", "x\r\nHost: y", "*.example.org", "-oProxy", "a/b", String(repeating: "a", count: 300)])
    func names(host: String) async {
        let outcome = await EndpointProber.run(probe(443, host: host))
        #expect(outcome.failure?.cause == .invalid)
    }

    @Test("outcomes come in the order of the probes, many at once")
    func order() async throws {
        let closed = try ClosedPort()
        defer { closed.letGo() }
        try await serving({ _ in }) { port in
            let probes = (0..<30).map { probe($0.isMultiple(of: 2) ? port : closed.number) }
            let outcomes = await EndpointProber.run(probes)
            #expect(outcomes.map { $0.failure == nil } == (0..<30).map { $0.isMultiple(of: 2) })
        }
    }

    // MARK: TLS

    @Test("each fault of a certificate is a cause of its own, and a good one passes")
    func certificates() async throws {
        let certificates = try await TestCertificates.make()
        defer { certificates.remove() }
        let authority = try String(contentsOfFile: certificates.authority, encoding: .utf8)
        let expected: [(TestCertificates.Kind, EndpointFailure.Cause?)] = [
            (.good, nil), (.expired, .certificateExpired), (.future, .certificateNotYetValid),
            (.other, .certificateOfAnotherHost), (.selfSigned, .certificateSelfSigned),
            (.stranger, .certificateUntrusted),
        ]
        for (kind, cause) in expected {
            let server = try await TLSServer(certificates, kind)
            defer { server.end() }
            let outcome = await EndpointProber.run(
                probe(server.port, .tls, host: "localhost", authorities: authority))
            #expect(outcome.failure?.cause == cause, "\(kind): \(outcome)")
            #expect(outcome.certificate?.protocolVersion == "TLSv1.3", "\(kind)")
            #expect(outcome.certificate?.subject.contains(kind == .other ? "elsewhere" : "localhost") == true)
            if kind == .good {
                // The same server, believed by nobody, or asked for by a number that is not in its certificate.
                let untrusted = await EndpointProber.run(probe(server.port, .tls, host: "localhost"))
                #expect(untrusted.failure?.cause == .certificateUntrusted, "\(untrusted)")
                let number = await EndpointProber.run(probe(server.port, .tls, authorities: authority))
                #expect(number.failure?.cause == .certificateOfAnotherHost, "\(number)")
                let nonsense = await EndpointProber.run(
                    probe(server.port, .tls, host: "localhost", authorities: "no certificate"))
                #expect(nonsense.failure?.cause == .invalid)
            }
        }
    }

    @Test("a server that speaks another protocol, or hangs up, is no TLS server")
    func notTLS() async throws {
        let other = try await serving({ socket in
            say("220 mail.example.org ESMTP ready and waiting\r\n", socket)
            socket.linger(seconds: 2)
        }) { await EndpointProber.run(probe($0, .tls)) }
        #expect(other.failure?.cause == .notTLS, "\(other)")
        let gone = try await serving({ $0.shutDown() }) { await EndpointProber.run(probe($0, .tls)) }
        #expect(gone.failure?.cause == .closed, "\(gone)")
    }

    // MARK: Proxy

    @Test("a proxy passes TLS through; the endpoint's name is left to it")
    func proxy() async throws {
        let certificates = try await TestCertificates.make()
        defer { certificates.remove() }
        let authority = try String(contentsOfFile: certificates.authority, encoding: .utf8)
        let server = try await TLSServer(certificates, .good)
        defer { server.end() }
        let (port, asked) = (server.port, Asked())
        let outcome = try await serving({ socket in
            asked.set(readHead(socket))
            guard let interrupt = try? Interrupt(),
                let far = try? StreamSocket.connect(
                    to: SocketAddress("127.0.0.1:\(port)"), interrupt: interrupt, timeoutSeconds: 5)
            else { return }
            say("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n", socket)
            relay(socket, far)
        }) { await EndpointProber.run(probe(port, .tls, host: "localhost", proxy: $0, authorities: authority)) }
        #expect(outcome.failure == nil, "\(outcome)")
        #expect(outcome.addresses == [])
        #expect(asked.text.hasPrefix("CONNECT localhost:\(port) HTTP/1.1\r\nHost: localhost:\(port)\r\n"))
    }

    @Test(
        "what a proxy says is the cause",
        arguments: [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", .proxyWantsPassword),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", .proxyRefused), ("HTTP/1.0 502 Bad Gateway\r\n\r\n", .proxyRefused),
            ("SSH-2.0-x\r\n\r\n", .proxyFailed), ("", .proxyFailed),
        ] as [(String, EndpointFailure.Cause)])
    func proxyRefuses(answer: String, cause: EndpointFailure.Cause) async throws {
        let outcome = try await serving({ socket in
            _ = readHead(socket)
            say(answer, socket)
        }) { await EndpointProber.run(probe(443, .tls, host: "far.example.org", proxy: $0)) }
        #expect(outcome.failure?.cause == cause, "\(outcome)")
    }

    @Test("a proxy that is not there, or says nothing, is named")
    func noProxy() async throws {
        let closed = try ClosedPort()
        defer { closed.letGo() }
        let refused = await EndpointProber.run(probe(443, .tls, host: "far.example.org", proxy: closed.number))
        #expect(refused.failure?.cause == .proxyFailed)
        #expect(refused.failure?.message.contains("127.0.0.1:\(closed.number)") == true)
        let silent = try await serving({ socket in
            _ = readHead(socket)
            _ = readHead(socket)
        }) { await EndpointProber.run(probe(443, .tls, host: "far.example.org", proxy: $0, seconds: 0.3)) }
        #expect(silent.failure?.cause == .timedOut, "\(silent)")
        #expect(silent.failure?.message.contains("asking the proxy") == true)
    }
}

/// What a server was asked.
private final class Asked: Sendable {
    private let held = Mutex("")
    var text: String { held.withLock { $0 } }
    func set(_ text: String) { held.withLock { $0 = text } }
}

/// Passes bytes both ways until either end goes.
private func relay(_ a: StreamSocket, _ b: StreamSocket) {
    let back = WorkerThread("test-relay") { pass(b, to: a) }
    pass(a, to: b)
    try? back.join()
}

@Sendable
private func pass(_ from: StreamSocket, to: StreamSocket) {
    var buffer = [UInt8](repeating: 0, count: 16384)
    while let count = try? buffer.withUnsafeMutableBytes({ try from.receiveSome($0) }) {
        guard
            (try? buffer.withUnsafeBytes { try to.send(UnsafeRawBufferPointer(rebasing: $0[..<count]), .empty) }) != nil
        else { break }
    }
    to.shutDown()
}
