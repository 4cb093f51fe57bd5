import Foundation
import Glibc
import SiteModel
import Synchronization
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Certificates of agents, and who needs one")
struct TLSIdentityTests {
    @Test("an authority and its agents' files are for their user alone, and say how long they last")
    func files() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let authority = CertificateAuthority(folder: scratch("authority"))
        let now = TestAuthorities.now
        #expect(try authority.create(from: now, days: 100) == now.advanced(bySeconds: 100 * 86_400))
        #expect(throws: (any Error).self, "it is not made twice") { try authority.create(from: now) }
        let file = scratch("b1.pem")
        let until = try authority.issue(for: ["b1.example.org", "10.0.0.2"], to: file, from: now, days: 365)
        #expect(abs(until.seconds(since: now) - 100 * 86_400) < 2, "no certificate outlasts its authority")
        for path in [file, authority.keyPath] {
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600, "\(path)")
        }
        let identity = try TLSIdentity(reading: file)
        #expect(identity.names == "b1.example.org, 10.0.0.2")
        try identity.requireName("b1.example.org")
        try identity.requireName("10.0.0.2")
        #expect(throws: ReplicationError.self) { try identity.requireName("b2.example.org") }
        #expect(identity.facts?.validUntil == until)
    }

    @Test("an authority that was cut off between its key and its certificate is made whole with the same key")
    func cutOff() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let authority = CertificateAuthority(folder: scratch("authority"))
        _ = try authority.create(from: TestAuthorities.now)
        let key = try Data(contentsOf: URL(filePath: authority.keyPath))
        unlink(authority.certificatePath)
        chmod(authority.keyPath, 0o644)
        #expect(throws: ReplicationError.self) { try authority.create(from: TestAuthorities.now) }
        chmod(authority.keyPath, 0o600)
        _ = try authority.create(from: TestAuthorities.now)
        #expect(try Data(contentsOf: URL(filePath: authority.keyPath)) == key)
        _ = try authority.issue(for: ["b1"], to: scratch("b1.pem"), from: TestAuthorities.now)
    }

    @Test(
        "what can be no host gets no certificate",
        arguments: ["", "b1,DNS:b2", "b 1", "b1\nIP:10.0.0.1", "*.example.org", "b1:7731/x"])
    func names(name: String) throws {
        let authorities = try TestAuthorities()
        defer { authorities.remove() }
        let authority = CertificateAuthority(folder: (authorities.authorityFile as NSString).deletingLastPathComponent)
        #expect(throws: ReplicationError.self) {
            try authority.issue(for: [name], to: authorities.path("x"), from: TestAuthorities.now)
        }
        #expect(access(authorities.path("x"), F_OK) != 0)
    }

    enum Fault: String, CaseIterable, Sendable {
        case readable, missing, empty, noKey, noCertificate, noAuthority, otherKey
    }

    @Test("a file that cannot serve is refused when the agent starts, with what is wrong", arguments: Fault.allCases)
    func faults(_ fault: Fault) throws {
        let authorities = try TestAuthorities()
        defer { authorities.remove() }
        let security = try authorities.issue(.good, to: "a")
        try authorities.issue(.good, to: "b")
        let path = authorities.path("a")
        func parts(_ name: String) throws -> [String] {
            try String(contentsOfFile: authorities.path(name), encoding: .utf8).components(separatedBy: "-----BEGIN ")
                .dropFirst().map { "-----BEGIN " + $0 }
        }
        let (a, b) = (try parts("a"), try parts("b"))
        #expect(a.count == 3)
        let (text, words): (String?, String) =
            switch fault {
            case .readable: (a.joined(), "others")
            case .missing: (nil, "missing")
            case .empty: ("", "no private key")
            case .noKey: (a[1] + a[2], "no private key")
            case .noCertificate: (a[0], "no certificate")
            case .noAuthority: (a[0] + a[1], "authority")
            case .otherKey: (b[0] + a[1] + a[2], "another key")
            }
        unlink(path)
        if let text { try replaceFile(path, with: Data(text.utf8)) }
        if fault == .readable { chmod(path, 0o640) }
        let error = #expect(throws: ReplicationError.self) {
            try security.check(listening: SocketAddress("127.0.0.1:0"))
        }
        #expect(error?.message.contains(words) == true, "\(error as Any)")
    }

    @Test("a certificate for another host is refused when the agent starts; one that has expired is not")
    func start() throws {
        let authorities = try TestAuthorities()
        defer { authorities.remove() }
        let address = try SocketAddress("127.0.0.1:0")
        try authorities.issue(.expired, to: "a").check(listening: address)
        let error = #expect(throws: ReplicationError.self) {
            try authorities.issue(.forOtherHost, to: "a").check(listening: address)
        }
        #expect(error?.message.contains("127.0.0.2") == true && error?.hint.contains("issue 127.0.0.1") == true)
        #expect(throws: ReplicationError.self) {
            try authorities.issue(.good, to: "a").check(listening: SocketAddress("/run/perilune/data"))
        }
    }

    @Test(
        "without TLS, data stays on this machine unless the operator says otherwise",
        arguments: [
            ("127.0.0.1:7731", true), ("127.8.0.1:0", true), ("[::1]:7731", true), ("/run/data", true),
            ("0.0.0.0:7731", false), ("[::]:7731", false), ("192.0.2.1:7731", false), ("[2001:db8::1]:1", false),
        ])
    func local(address: String, isLocal: Bool) throws {
        let place = try SocketAddress(address)
        try DataSecurity.plain.check(listening: place)
        try DataSecurity.plain.check(sendingTo: place, encrypted: false)
        if isLocal {
            try DataSecurity.local.check(listening: place)
            try DataSecurity.local.check(sendingTo: place, encrypted: false)
        } else {
            let error = #expect(throws: ReplicationError.self) { try DataSecurity.local.check(listening: place) }
            #expect(error?.hint.contains("--without-tls") == true)
            #expect(throws: ReplicationError.self) { try DataSecurity.local.check(sendingTo: place, encrypted: false) }
        }
    }

    /// Two sockets that trust each other, over a pair that the kernel makes.
    private func pair(_ authorities: TestAuthorities, bytesForOneKey: UInt64) async throws -> (
        StreamSocket, StreamSocket
    ) {
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        try authorities.issue(.good, to: "a")
        let path = authorities.path("a")
        let (a, b) = (
            StreamSocket(descriptor: ends[0], interrupt: try Interrupt()),
            StreamSocket(descriptor: ends[1], interrupt: try Interrupt())
        )
        async let first: Void = onThread("sender") {
            try a.secure(
                TLSIdentity(reading: path), .sender(to: "127.0.0.1"), place: "b", seconds: 120,
                bytesForOneKey: bytesForOneKey)
        }
        try await onThread("receiver") {
            try b.secure(
                TLSIdentity(reading: path), .receiver, place: "a", seconds: 120, bytesForOneKey: bytesForOneKey)
        }
        try await first
        return (a, b)
    }

    @Test("bytes of all sizes pass both ways at once, under one key and under many", arguments: [1 << 35, 40_000])
    func bothWays(bytesForOneKey: Int) async throws {
        let authorities = try TestAuthorities()
        defer { authorities.remove() }
        let (a, b) = try await pair(authorities, bytesForOneKey: UInt64(bytesForOneKey))
        let sizes = [1, 32, 4095, 16_383, 16_384, 16_385, 131_071, 131_072, 131_073, 1 << 20, 3_000_001, 2]
        @Sendable func send(_ socket: StreamSocket, _ seed: UInt64) throws {
            var generator = SeededGenerator(seed: seed)
            for size in sizes {
                let bytes = (0..<size).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
                try bytes.withUnsafeBytes { bytes in
                    let head = min(32, bytes.count)
                    try socket.send(.init(rebasing: bytes[..<head]), .init(rebasing: bytes[head...]))
                }
            }
        }
        @Sendable func receive(_ socket: StreamSocket, _ seed: UInt64) throws -> Bool {
            var generator = SeededGenerator(seed: seed)
            var equal = true
            // In other portions than they were sent in.
            for size in sizes.sorted() {
                var bytes = [UInt8](repeating: 0, count: size)
                try bytes.withUnsafeMutableBytes { try socket.receive($0) }
                equal = equal && bytes.allSatisfy { $0 == UInt8(truncatingIfNeeded: generator.next()) }
            }
            return equal
        }
        async let sentA: Void = onThread("send-a") { try send(a, 1) }
        async let sentB: Void = onThread("send-b") { try send(b, 2) }
        async let atA = onThread("receive-a") { try receive(a, 2) }
        async let atB = onThread("receive-b") { try receive(b, 1) }
        let equal = (try await atA, try await atB)
        #expect(equal.0 && equal.1)
        _ = try await (sentA, sentB)
        #expect(!a.hasInput() && !b.hasInput())
        b.shutDown()
        #expect(a.hasInput(), "the end is something to read")
    }
}
