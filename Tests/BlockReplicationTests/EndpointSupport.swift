import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import BlockReplication

/// Certificates made by the openssl program: an authority, and servers that it vouches for, or does not.
struct TestCertificates: Sendable {
    private let scratch: Scratch
    var folder: String { scratch.path }
    var authority: String { folder + "/ca.pem" }

    /// Kinds of server certificates, each in a file of its own with its key.
    enum Kind: String, CaseIterable, Sendable {
        case good, expired, future, other, selfSigned, stranger
    }

    static func make() async throws -> TestCertificates {
        let certificates = TestCertificates(scratch: try Scratch())
        try await certificates.fill()
        return certificates
    }

    func file(_ kind: Kind, _ part: String) -> String { "\(folder)/\(kind.rawValue).\(part)" }

    func remove() { scratch.remove() }

    private func fill() async throws {
        for name in ["ca", "ca2"] {
            try await runTool(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                "30",
                "-subj", "/CN=\(name) of the test", "-keyout", "\(folder)/\(name).key", "-out", "\(folder)/\(name).pem")
        }
        try await sign(.good, by: "ca", name: "localhost")
        try await sign(.other, by: "ca", name: "elsewhere.example.org")
        try await sign(.stranger, by: "ca2", name: "localhost")
        try await sign(.expired, by: "ca", name: "localhost", from: "20200101000000Z", until: "20200201000000Z")
        try await sign(.future, by: "ca", name: "localhost", from: "20900101000000Z", until: "20910101000000Z")
        try await runTool(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", file(.selfSigned, "key"),
            "-out", file(.selfSigned, "pem"))
    }

    /// `openssl ca` is the one way to say when a certificate begins and ends.
    private func sign(
        _ kind: Kind, by authority: String, name: String, from: String? = nil, until: String? = nil
    ) async throws {
        let configuration = "\(folder)/\(kind.rawValue).cnf"
        for (suffix, text) in [("txt", ""), ("srl", "1\(Kind.allCases.firstIndex(of: kind) ?? 0)\n")] {
            try text.write(toFile: "\(folder)/\(kind.rawValue).\(suffix)", atomically: true, encoding: .utf8)
        }
        try """
        [ca]
        default_ca = own
        [own]
        database = \(folder)/\(kind.rawValue).txt
        serial = \(folder)/\(kind.rawValue).srl
        new_certs_dir = \(folder)
        default_md = sha256
        policy = any
        default_days = 30
        x509_extensions = server
        [any]
        commonName = supplied
        [server]
        subjectAltName = DNS:\(name)
        """.write(toFile: configuration, atomically: true, encoding: .utf8)
        try await runTool(
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=\(name)", "-keyout", file(kind, "key"), "-out", file(kind, "csr"))
        let times = (from.map { ["-startdate", $0] } ?? []) + (until.map { ["-enddate", $0] } ?? [])
        try await run(
            [
                "openssl", "ca", "-batch", "-notext", "-config", configuration, "-cert", "\(folder)/\(authority).pem",
                "-keyfile", "\(folder)/\(authority).key", "-in", file(kind, "csr"), "-out", file(kind, "pem"),
            ] + times)
    }

    private func run(_ words: [String]) async throws {
        let result = try await Program.result(of: words)
        try #require(result.status == 0, "\(words): \(result.errors)")
    }
}

/// `openssl s_server` on a loopback port of its own choosing.
///
/// Started as the agent's own helpers are: with no signal blocked, so that it can be ended.
final class TLSServer: Sendable {
    let port: UInt16
    private let process: HelperProcess

    convenience init(_ certificates: TestCertificates, _ kind: TestCertificates.Kind) async throws {
        try await self.init(
            certificate: certificates.file(kind, "pem"), key: certificates.file(kind, "key"),
            folder: certificates.folder)
    }

    /// Shows the certificate and key of these files, or of one; `options` are further words of openssl's.
    init(certificate: String, key: String? = nil, _ options: [String] = [], folder: String) async throws {
        let said = "\(folder)/\(UUID().uuidString).out"
        // With -www it does not read its input, at whose end it would go.
        process = try HelperProcess(
            [
                "openssl", "s_server", "-www", "-accept", "127.0.0.1:0", "-cert", certificate, "-key",
                key ?? certificate,
            ] + options, outputPath: said)
        // It says "ACCEPT 127.0.0.1:PORT" once it listens.
        var found: UInt16?
        _ = await eventually {
            let text = (try? String(contentsOfFile: said, encoding: .utf8)) ?? ""
            let line = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
                .first { $0.hasPrefix("ACCEPT") }
            found = line?.split(separator: ":").last.flatMap { UInt16($0) }
            return found != nil
        }
        port = try #require(found, "openssl s_server does not listen")
    }

    func end() { process.end() }
}

/// Serves each connection to a loopback port with `serve` while `body` runs.
func serving<Value: Sendable>(
    _ serve: @escaping @Sendable (StreamSocket) -> Void, _ body: (UInt16) async throws -> Value
) async throws -> Value {
    let interrupt = try Interrupt()
    let listener = try SocketListener(try SocketAddress("127.0.0.1:0"), interrupt: interrupt)
    let thread = listener.start("test-server") { socket in
        serve(socket)
        socket.shutDown()
    }
    let port = try #require(UInt16(listener.address.split(separator: ":")[1]))
    let result: Result<Value, any Error>
    do { result = .success(try await body(port)) } catch { result = .failure(error) }
    interrupt.trigger(ReplicationError.givenUp)
    try await onThread("test-join") { try thread.join() }
    return try result.get()
}

/// A port of the loopback at which nobody listens, and nobody else can, until it is closed.
///
/// A port that was merely free a moment ago may be given to another test's server.
struct ClosedPort: Sendable {
    let number: UInt16
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ReplicationError.system("opening a socket", errno: errno) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = withUnsafeMutablePointer(to: &address) { [descriptor] in
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                // Bound and not listening: the kernel refuses a connection.
                bind(descriptor, $0, length) != 0 || getsockname(descriptor, $0, &length) != 0
            }
        }
        guard !failed else {
            let error = ReplicationError.system("holding a port", errno: errno)
            close(descriptor)
            throw error
        }
        number = UInt16(bigEndian: address.sin_port)
    }

    func letGo() { close(descriptor) }
}

/// Reads up to the end of an HTTP head.
func readHead(_ socket: StreamSocket) -> String {
    var head: [UInt8] = []
    while !head.suffix(4).elementsEqual("\r\n\r\n".utf8), head.count < 8192 {
        var byte: UInt8 = 0
        guard (try? withUnsafeMutableBytes(of: &byte, { try socket.receiveSome($0) })) != nil else { break }
        head.append(byte)
    }
    return String(decoding: head, as: UTF8.self)
}

func say(_ text: String, _ socket: StreamSocket) {
    try? Array(text.utf8).withUnsafeBytes { try socket.send($0, .empty) }
}
