import Foundation
import Glibc
import SiteModel
import Testing

@testable import BlockReplication

@Suite("The agent's control socket")
struct AgentControlTests {
    /// A raw connection to a control socket.
    private func connect(_ sites: TwoSites) throws -> StreamSocket {
        try StreamSocket.connect(
            to: SocketAddress(sites.file("b/control")), interrupt: try Interrupt(), timeoutSeconds: 5)
    }

    @Test("garbage of every kind ends its own connection alone")
    func garbage() async throws {
        try await TwoSites.with { sites in
            var generator = SeededGenerator(seed: 7)
            var cases: [[UInt8]] = [
                [0, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF], [0, 0x40, 0, 1], [0, 0, 0, 2, 0x7B], [0, 0, 0, 2, 0x7B, 0x7D],
                [0, 0, 0, 4] + Array("null".utf8),
            ]
            for _ in 0..<60 {
                let count = Int.random(in: 1...300, using: &generator)
                cases.append((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
                let body = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
                cases.append([0, 0, UInt8(count >> 8), UInt8(count & 255)] + body)
            }
            for bytes in cases {
                let socket = try connect(sites)
                try? bytes.withUnsafeBytes { try socket.send($0, .empty) }
                socket.shutDown()
            }
            for bytes in cases.prefix(40) {
                let socket = try StreamSocket.connect(
                    to: SocketAddress(sites.b.address), interrupt: try Interrupt(), timeoutSeconds: 5)
                try? bytes.withUnsafeBytes { try socket.send($0, .empty) }
                socket.shutDown()
            }
            #expect(try await sites.clientB.status().site == "b")
        }
    }

    @Test("a bad call or body is answered with an error that says what to do, and the connection goes on")
    func badCalls() async throws {
        try await TwoSites.with { sites in
            let connection = ControlConnection(try connect(sites))
            // Off Swift's pool, which the agent needs for its answers.
            func answer() async throws -> Data { try await onThread("test-read") { try connection.read() } }
            for text in [#"{"id":1,"call":"explode","body":{}}"#, #"{"id":2,"call":"openPoint","body":{"vm":3}}"#] {
                try connection.write(Data(text.utf8))
                let refusal = try JSONDecoder().decode(ControlResponse<Nothing>.self, from: try await answer())
                #expect(try #require(refusal.error).hint.contains("same version"))
            }
            try connection.write(Data(#"{"id":3,"call":"status","body":{}}"#.utf8))
            let status = try JSONDecoder().decode(
                ControlResponse<Answered<AgentStatus>>.self, from: try await answer())
            #expect(status.id == 3 && status.result?.value.site == "b")
        }
    }

    @Test("a hundred requests at once over one connection are each answered as asked")
    func concurrent() async throws {
        try await TwoSites.with { sites in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        let record = OwnershipRecord(
                            relationship: "r\(number % 60)", vmUUID: "u", owner: "a", epoch: 1)
                        if number < 60 { try await sites.clientB.recordOwnership(record) }
                        return try await sites.clientB.status().site == "b"
                    }
                }
                for try await good in group { #expect(good) }
            }
            #expect(try await sites.clientB.ownership(relationship: "r59")?.owner == "a")
            #expect(try await sites.clientB.ownership(relationship: "r60") == nil)
        }
    }

    @Test("the socket is ours alone, one agent serves it, and a stale one is replaced")
    func socketFile() async throws {
        try await TwoSites.with { sites in
            let path = sites.file("b/control")
            var status = stat()
            #expect(lstat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
            func start(_ path: String) throws {
                _ = try AgentServer(
                    site: "c", controlSocket: path, listen: "127.0.0.1:0", store: sites.file("c/store"))
            }
            #expect(await code { try start(path) } == .busy)
            #expect(await code { try start("relative") } == .invalidArgument)
            let open = sites.file("open")
            mkdir(open, 0o777)
            chmod(open, 0o777)
            #expect(await code { try start(open + "/control") } == .invalidArgument)
            await sites.b.stop()
            #expect(await code { _ = try await sites.clientB.status() } == .disconnected)
            // What a killed agent leaves behind: a bound socket that nobody serves.
            let stale = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            _ = withUnixAddress(path) { bind(stale, $0, $1) }
            Glibc.close(stale)
            let again = try AgentServer(
                site: "b2", controlSocket: path, listen: "127.0.0.1:0", store: sites.file("b/store"))
            #expect(try await sites.clientB.status().site == "b2", "the client connects again by itself")
            await again.stop()
        }
    }

    @Test("an agent that is not there is an error that says how to start it")
    func unreachable() async throws {
        do {
            _ = try await AgentClient(controlSocket: "/nonexistent/agent").status()
            Issue.record("nobody is there")
        } catch let error as ReplicationError {
            #expect(error.code == .disconnected && error.hint.contains("perilune agent"))
        }
    }

    @Test("an agent that was started anew is asked at once, whether or not the end of the earlier one has been seen")
    func restarts() async throws {
        try await TwoSites.with { sites in
            #expect(try await sites.clientB.status().site == "b")
            await sites.b.stop()
            for number in 0..<50 {
                let server = try AgentServer(
                    site: "b\(number)", controlSocket: sites.file("b/control"), listen: "127.0.0.1:0",
                    store: sites.file("b/store"))
                #expect(try await sites.clientB.status().site == "b\(number)")
                await server.stop()
            }
        }
    }

    @Test("points survive the agent: a new one shows them, and what was half received is gone")
    func restart() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("disk", mebibytes: 8)
            let disks = [SourceDisk.stopped(image, mebibytes: 8, .everything)]
            try await sites.cycle(TwoSites.generation(1), after: nil, disks)
            _ = try await sites.open(TwoSites.generation(2), after: TwoSites.generation(1), disks)
            await sites.b.stop()
            let again = try AgentServer(
                site: "b", controlSocket: sites.file("b/control"), listen: "127.0.0.1:0", store: sites.file("b/store"))
            let points = try await sites.clientB.points(relationship: sites.relationship)
            #expect(points.map(\.generation) == [TwoSites.generation(1)])
            #expect(
                try await sites.clientB.domainXML(
                    relationship: sites.relationship, generation: TwoSites.generation(1)) == "<domain/>")
            #expect(await code { _ = try await sites.seal(TwoSites.generation(2), [:]) } == .notFound)
            try await sites.clientB.forget(relationship: sites.relationship)
            #expect(try await sites.clientB.points(relationship: sites.relationship).isEmpty)
            await again.stop()
        }
    }
}
