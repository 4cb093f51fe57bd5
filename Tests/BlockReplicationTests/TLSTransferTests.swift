import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Agents that speak TLS")
struct TLSTransferTests {
    private func error(_ body: () async throws -> Void) async -> ReplicationError? {
        do {
            try await body()
            return nil
        } catch { return error as? ReplicationError }
    }

    @Test("a first copy, what a bitmap says, and what hashes find arrive as they were")
    func cycles() async throws {
        try await TwoSites.withTLS { sites, _ in
            let image = try await sites.makeImage("disk", mebibytes: 24, bitmap: "b")
            let generation = TwoSites.generation
            try await sites.cycle(generation(1), after: nil, [.stopped(image, mebibytes: 24, .everything)])
            #expect(try await sites.atB(generation(1), "vda", equals: image))
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 9 3M 2M", "-c", "write -P 8 20M 4k", image.path)
            try await sites.cycle(
                generation(2), after: generation(1),
                [.stopped(image, mebibytes: 24, .changed(bitmap: "b", also: []))])
            #expect(try await sites.atB(generation(2), "vda", equals: image))
            try await runTool("qemu-io", "-f", "qcow2", "-c", "write -P 7 10M 1M", image.path)
            let moved = try await sites.cycle(
                generation(3), after: generation(2), [.stopped(image, mebibytes: 24, .differing)]
            ).moved
            #expect(moved.bytes == 1 << 20)
            #expect(try await sites.atB(generation(3), "vda", equals: image))
        }
    }

    @Test("several disks at once, packed", arguments: [AgentLimits.Packing.always, .never])
    func disks(packing: AgentLimits.Packing) async throws {
        var limits = AgentLimits.patient
        limits.packing = packing
        try await TwoSites.withTLS(limits: limits) { sites, _ in
            var disks: [(String, DiskImage)] = []
            for index in 0..<5 {
                disks.append(("vd\(index)", try await sites.makeImage("d\(index)", mebibytes: 6, seed: UInt64(index))))
            }
            try await sites.cycle(
                TwoSites.generation(1), after: nil,
                disks.map { .stopped($0.1, mebibytes: 6, .everything, target: $0.0) })
            for (target, image) in disks {
                #expect(try await sites.atB(TwoSites.generation(1), target, equals: image))
            }
        }
    }

    @Test("one turned bit on the way ends the transfer, and no point is made", arguments: [3000, 400_000])
    func flipped(at position: Int) async throws {
        try await TwoSites.withTLS { sites, _ in
            let disk = SourceDisk.stopped(try await sites.makeImage("disk", mebibytes: 8), mebibytes: 8, .everything)
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            let proxy = try FaultyProxy(to: ticket.address, .flip(at: position))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: [disk])
            #expect(await code { _ = try await sites.clientA.sendPoint(request) { _ in } } != nil)
            #expect(try await sites.clientB.points(relationship: sites.relationship).isEmpty)
        }
    }

    /// What stands in the agents' files, and what the sender is told.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var a = TestAuthorities.Kind.good
        var b = TestAuthorities.Kind.good
        let words: String

        init(_ what: String, a: TestAuthorities.Kind = .good, b: TestAuthorities.Kind = .good, _ words: String) {
            (testDescription, self.a, self.b, self.words) = (what, a, b, words)
        }
    }

    @Test(
        "a certificate that does not hold is refused with the reason, and the next one is taken without a restart",
        arguments: [
            Refusal("the receiver's has expired", b: .expired, "has expired"),
            Refusal("the receiver's is not valid yet", b: .future, "not valid yet"),
            Refusal("the receiver's is of another authority", b: .ofOtherAuthority, "not from an authority"),
            Refusal("the receiver's is another host's", b: .forOtherHost, "the certificate of another host"),
            Refusal("the sender's has expired", a: .expired, "refused this agent's certificate: it has expired"),
            Refusal("the sender's is not valid yet", a: .future, "refused this agent's certificate"),
            Refusal("the sender believes another authority alone", a: .ofOtherAuthority, "not from an authority"),
        ])
    func refused(_ refusal: Refusal) async throws {
        try await TwoSites.withTLS { sites, authorities in
            let disk = SourceDisk.stopped(try await sites.makeImage("disk", mebibytes: 4), mebibytes: 4, .everything)
            let ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            try authorities.issue(refusal.a, to: "a")
            try authorities.issue(refusal.b, to: "b")
            let request = SendPoint(ticket: ticket, disks: [disk])
            let found = await error { _ = try await sites.clientA.sendPoint(request) { _ in } }
            #expect(found?.code == .notAuthorized, "\(String(describing: found))")
            #expect(found?.message.contains(refusal.words) == true, "\(String(describing: found))")
            #expect(found?.hint.isEmpty == false)
            try authorities.issue(.good, to: "a")
            try authorities.issue(.good, to: "b")
            // A stranger's failure is not the point's: the same ticket is good still.
            let moved = try await sites.clientA.sendPoint(request) { _ in }
            _ = try await sites.seal(TwoSites.generation(1), moved.checksums)
        }
    }

    @Test("an authority that only the receiver does not know is told to the sender")
    func unknownSender() async throws {
        try await TwoSites.withTLS { sites, authorities in
            let disk = SourceDisk.stopped(try await sites.makeImage("disk", mebibytes: 4), mebibytes: 4, .everything)
            let ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            // It believes both authorities, and shows the certificate of the other.
            let known = try String(contentsOfFile: authorities.authorityFile, encoding: .utf8)
            try authorities.issue(.ofOtherAuthority, to: "a")
            let shown = try String(contentsOfFile: authorities.path("a"), encoding: .utf8)
            try replaceFile(authorities.path("a"), with: Data((shown + known).utf8))
            let request = SendPoint(ticket: ticket, disks: [disk])
            let found = await error { _ = try await sites.clientA.sendPoint(request) { _ in } }
            #expect(found?.code == .notAuthorized)
            #expect(found?.message.contains("an authority that the other agent believes") == true, "\(found as Any)")
        }
    }

    enum Mix: String, Sendable, CaseIterable { case senderAlone, receiverAlone, olderSender, impostor }

    @Test("with TLS at one side alone nothing is sent, and the error says what to do", arguments: Mix.allCases)
    func mixed(_ mix: Mix) async throws {
        let authorities = try TestAuthorities()
        defer { authorities.remove() }
        let tls = try authorities.issue(.good, to: "a")
        let senderHas = mix == .senderAlone || mix == .impostor
        try await TwoSites.with(
            limits: .patient, security: senderHas ? (a: tls, b: .local) : (a: .local, b: tls)
        ) { sites in
            let disk = SourceDisk.stopped(try await sites.makeImage("disk", mebibytes: 4), mebibytes: 4, .everything)
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            #expect(ticket.isEncrypted == !senderHas)
            if mix == .olderSender { ticket.isEncrypted = nil }
            if mix == .impostor { ticket.isEncrypted = true }
            let request = SendPoint(ticket: ticket, disks: [disk])
            let found = await error { _ = try await sites.clientA.sendPoint(request) { _ in } }
            let (code, words): (ReplicationError.Code, String) =
                switch mix {
                case .senderAlone: (.notAuthorized, "takes data without")
                case .receiverAlone: (.notAuthorized, "this one has no certificate")
                case .olderSender: (.protocolViolation, "takes data with TLS only")
                case .impostor: (.protocolViolation, "does not speak TLS")
                }
            #expect(found?.code == code && found?.message.contains(words) == true, "\(found as Any)")
            #expect(found?.hint.contains("--tls FILE") == true, "\(found as Any)")
        }
    }

    @Test("a client that offers TLS 1.2 at most, or no certificate, gets nothing", arguments: ["-tls1_2", "-tls1_3"])
    func otherClients(version: String) async throws {
        try await TwoSites.withTLS { sites, authorities in
            var words = [
                "openssl", "s_client", "-connect", sites.b.address, version, "-CAfile", authorities.authorityFile,
                "-ign_eof",
            ]
            if version == "-tls1_2" { words += ["-cert", authorities.path("a"), "-key", authorities.path("a")] }
            let said = try await Program.result(of: words)
            let reason = version == "-tls1_2" ? "alert protocol version" : "alert certificate required"
            #expect(said.status != 0)
            #expect((said.output + said.errors).contains(reason), "\(said.output) \(said.errors)")
        }
    }

    @Test("a server that offers TLS 1.2 at most is sent nothing")
    func oldServer() async throws {
        try await TwoSites.withTLS { sites, authorities in
            let disk = SourceDisk.stopped(try await sites.makeImage("disk", mebibytes: 4), mebibytes: 4, .everything)
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            let server = try await TLSServer(certificate: authorities.path("b"), ["-tls1_2"], folder: sites.folder)
            defer { server.end() }
            ticket.address = "127.0.0.1:\(server.port)"
            let request = SendPoint(ticket: ticket, disks: [disk])
            let found = await error { _ = try await sites.clientA.sendPoint(request) { _ in } }
            #expect(found?.code == .protocolViolation, "\(found as Any)")
            #expect(found?.message.contains("TLS") == true, "\(found as Any)")
        }
    }

    /// What a receiver does in place of its part of the handshake.
    enum Silence: String, Sendable, CaseIterable {
        case saysNothing, closes, stopsHalfway
    }

    @Test("a receiver that stalls or goes in the handshake is given up", arguments: Silence.allCases)
    func stalledReceiver(_ silence: Silence) async throws {
        var limits = AgentLimits.patient
        limits.handshakeSeconds = 1
        try await TwoSites.withTLS(limits: limits) { sites, _ in
            let disk = SourceDisk.stopped(try await sites.makeImage("disk", mebibytes: 4), mebibytes: 4, .everything)
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, [disk])
            let found = try await serving({ socket in
                var bytes = [UInt8](repeating: 0, count: 4096)
                _ = bytes.withUnsafeMutableBytes { try? socket.receiveSome($0) }
                if silence == .closes { return }
                // The head of a record of which the rest does not come.
                if silence == .stopsHalfway {
                    try? [UInt8]([22, 3, 3, 0, 100]).withUnsafeBytes { try socket.send($0, .empty) }
                }
                // Until the sender has gone.
                _ = bytes.withUnsafeMutableBytes { try? socket.receiveSome($0) }
            }) { port -> ReplicationError? in
                ticket.address = "127.0.0.1:\(port)"
                let request = SendPoint(ticket: ticket, disks: [disk])
                return await error { _ = try await sites.clientA.sendPoint(request) { _ in } }
            }
            #expect(found?.code == (silence == .closes ? .disconnected : .timedOut), "\(found as Any)")
            #expect(found?.message.contains("TLS handshake") == true, "\(found as Any)")
        }
    }

    @Test("a sender that stalls in the handshake loses its place, and others are served", arguments: [0, 1, 40])
    func stalledSender(bytes: Int) async throws {
        var limits = AgentLimits.patient
        limits.helloSeconds = 1
        limits.handshakeSeconds = 1
        try await TwoSites.withTLS(limits: limits) { sites, _ in
            let socket = try StreamSocket.connect(
                to: SocketAddress(sites.b.address), interrupt: try Interrupt(), timeoutSeconds: 60)
            // The beginning of a record that says how long it is, and is not.
            let start = Array(([22, 3, 1, 2, 0, 1, 0, 1, 252] + [UInt8](repeating: 3, count: 64)).prefix(bytes))
            if bytes > 0 { try start.withUnsafeBytes { try socket.send($0, .empty) } }
            let ended = await eventually {
                var byte: UInt8 = 0
                let count = recv(socket.descriptor, &byte, 1, Int32(MSG_DONTWAIT))
                return count == 0 || (count < 0 && errno != EAGAIN)
            }
            #expect(ended)
        }
    }

    @Test("doctor's questions: its certificate, and whether the way to the other agent is as it must be")
    func checked() async throws {
        try await TwoSites.withTLS { sites, authorities in
            let port = try #require(UInt16(sites.b.address.split(separator: ":")[1]))
            let probe = EndpointProbe(host: "127.0.0.1", port: port, service: .agent, timeoutSeconds: 30)
            let good = try await sites.clientA.check(AgentCheck(endpoints: [probe]))
            #expect(good.endpoints.map(\.failure) == [nil])
            #expect(good.security?.isEncrypted == true && good.security?.problem == nil)
            let until = try #require(good.security?.certificate?.validUntil)
            #expect(abs(until.seconds(since: TestAuthorities.now) - 10 * 86_400) < 3600)
            try authorities.issue(.forOtherHost, to: "b")
            let bad = try await sites.clientA.check(AgentCheck(endpoints: [probe]))
            #expect(bad.endpoints[0].failure?.cause == .handshakeFailed)
            #expect(bad.endpoints[0].failure?.message.contains("another host") == true)
            #expect(try await sites.clientB.check(AgentCheck()).security?.problem?.contains("127.0.0.2") == true)
        }
        try await TwoSites.with { sites in
            let plain = try await sites.clientA.check(AgentCheck()).security
            #expect(plain == SecurityFacts(isEncrypted: false, isLocal: true))
        }
    }
}
