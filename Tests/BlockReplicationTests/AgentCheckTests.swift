import Foundation
import Glibc
import SiteModel
import Testing

@testable import BlockReplication

@Suite("What an agent says of its host")
struct AgentCheckTests {
    @Test("clock, store, images and programs are answered over the control socket")
    func answers() async throws {
        try await TwoSites.with { sites in
            let image = try await sites.makeImage("new", mebibytes: 4)
            let old = sites.file("old.qcow2")
            try await runTool("qemu-img", "create", "-f", "qcow2", "-o", "compat=0.10", old, "1M")
            let broken = sites.file("broken.qcow2")
            try Data("not an image".utf8).write(to: URL(filePath: broken))
            let before = Date()
            let answer = try await sites.clientA.check(
                AgentCheck(
                    images: [image.path, old, broken, sites.file("none.qcow2"), "relative"],
                    programs: ["qemu-img", "no-such-program", "../bin/ls"]))
            let middle = Double(answer.time.milliseconds) / 1000
            #expect((before.timeIntervalSince1970 - 1...Date().timeIntervalSince1970 + 1).contains(middle))
            #expect(answer.dataAddress == sites.a.address)
            #expect(answer.store.path == sites.file("a/store") && answer.store.writeFailure == nil)
            #expect(answer.store.freeBytes > 0 && answer.store.totalBytes >= answer.store.freeBytes)
            #expect(answer.store.fileSystem?.isEmpty == false)
            #expect(answer.images.map(\.version) == [3, 2, nil, nil, nil])
            #expect(answer.images[0].allocatedBytes > 1 << 20)
            #expect(answer.images.dropFirst(2).allSatisfy { $0.failure?.isEmpty == false })
            #expect(answer.programs.map { $0.path != nil } == [true, false, false])
        }
    }

    @Test("a store keeps its identity; two stores have two, and two agents on one folder the same")
    func identity() async throws {
        try await TwoSites.with { sites in
            let a = try await sites.clientA.check(AgentCheck()).storeID
            let b = try await sites.clientB.check(AgentCheck()).storeID
            #expect(a != b)
            #expect(try StoreIdentity.ensure(in: sites.file("a/store")) == a)
            let again = try AgentService(site: "c", store: sites.file("a/store"), address: "127.0.0.1:1")
            #expect(try await again.check(AgentCheck()).storeID == a)
        }
    }

    @Test("an agent greets another; a port of something else, and a closed one, are no agents")
    func greeting() async throws {
        try await TwoSites.with { sites in
            let closed = try ClosedPort()
            defer { closed.letGo() }
            try await serving({ socket in
                say("220 something else, which talks as soon as it is connected to\r\n", socket)
                socket.linger(seconds: 2)
            }) { other in
                let ports = [try #require(UInt16(sites.b.address.split(separator: ":")[1])), other, closed.number]
                let answer = try await sites.clientA.check(
                    AgentCheck(
                        endpoints: ports.map { EndpointProbe(host: "127.0.0.1", port: $0, service: .agent) }))
                #expect(answer.endpoints.map(\.failure?.cause) == [nil, .notAnAgent, .refused], "\(answer.endpoints)")
            }
            // The greeting left nothing behind: a point goes through as ever.
            let image = try await sites.makeImage("vda", mebibytes: 4)
            try await sites.cycle(TwoSites.generation(1), after: nil, [.stopped(image, mebibytes: 4, .everything)])
            #expect(try await sites.clientB.points(relationship: sites.relationship).count == 1)
        }
    }

    @Test("a store that cannot be written says why")
    func unwritable() async throws {
        // /proc is there for everybody and takes no files from anybody, root included.
        let facts = try FolderLook.facts(of: "/proc/self")
        #expect(facts.writeFailure?.isEmpty == false)
        #expect(facts.fileSystem == "proc")
    }

    @Test("too many questions are refused")
    func bounds() async throws {
        try await TwoSites.with { sites in
            let many = AgentCheck(programs: (0...AgentCheck.programLimit).map { "p\($0)" })
            #expect(await code { _ = try await sites.clientA.check(many) } == .invalidArgument)
        }
    }

    @Test("an agent that is older than the call says so, and what to do")
    func older() async throws {
        // An older agent's table of calls: the dispatch is this one's, the call is not in it.
        try await TwoSites.with { sites in
            let dispatch = AgentDispatch(sites.a.service)
            let message = try JSONEncoder().encode(ControlRequest(id: 1, call: "check-next", body: AgentCheck()))
            let error = await #expect(throws: ReplicationError.self) {
                _ = try await dispatch.answer(call: "check-next", message: message) { _ in }
            }
            #expect(error?.code == .unsupported)
            #expect(error?.hint.contains("same version") == true)
        }
    }
}
