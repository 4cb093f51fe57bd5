import Foundation
import Glibc
import SiteModel
import Testing

@testable import BlockReplication

@Suite("Strangers at the data port")
struct AgentStrangerTests {
    private func connect(_ sites: TwoSites) throws -> StreamSocket {
        try StreamSocket.connect(to: SocketAddress(sites.b.address), interrupt: try Interrupt(), timeoutSeconds: 5)
    }

    /// Whether the agent has ended the connection; what it said before, heartbeats included, is dropped.
    private func hasEnded(_ socket: StreamSocket) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(socket.descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count == 0 { return true }
            if count < 0 { return errno != EAGAIN && errno != EINTR }
        }
    }

    @Test("as many silent ones as there are places keep no sender out")
    func crowd() async throws {
        var limits = AgentLimits()
        limits.helloSeconds = 600
        try await TwoSites.with(limits: limits) { sites in
            let image = try await sites.makeImage("disk", mebibytes: 8)
            let disks = [SourceDisk.stopped(image, mebibytes: 8, .everything)]
            let strangers = try (0..<limits.connections + 20).map { _ in try connect(sites) }
            #expect(await eventually { hasEnded(strangers[0]) }, "the oldest has made room")
            #expect(strangers.last.map(hasEnded) == false, "the newest has not")
            try await sites.cycle(TwoSites.generation(1), after: nil, disks)
            #expect(try await sites.atB(TwoSites.generation(1), "vda", equals: image))
            for stranger in strangers { stranger.shutDown() }
        }
    }

    @Test("a sender that is at work makes room for nobody")
    func admitted() async throws {
        var limits = AgentLimits()
        limits.connections = 4
        try await TwoSites.with(limits: limits) { sites in
            let image = try await sites.makeImage("disk", mebibytes: 32)
            let disks = [SourceDisk.stopped(image, mebibytes: 32, .everything)]
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, disks)
            let proxy = try FaultyProxy(to: ticket.address, .stall(after: 500_000))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: disks)
            let task = Task { await code { _ = try await sites.clientA.sendPoint(request) { _ in } } }
            #expect(await eventually { proxy.hasStalled })
            let strangers = try (0..<40).map { _ in try connect(sites) }
            #expect(await eventually { hasEnded(strangers[0]) && hasEnded(strangers[30]) })
            #expect(sites.b.service.incoming[sites.relationship]?.hasFailed == false)
            task.cancel()
            #expect(await task.value == .cancelled)
        }
    }

    @Test("one that talks and never says who it is has little time in all")
    func trickle() async throws {
        var limits = AgentLimits()
        limits.helloSeconds = 1
        try await TwoSites.with(limits: limits) { sites in
            let socket = try connect(sites)
            var header = [UInt8](repeating: 0, count: FrameHeader.size)
            header.withUnsafeMutableBytes { bytes in
                var hello = FrameHeader(kind: .hello, length: 4000)
                hello.seal(payload: .empty, into: bytes)
            }
            try header.withUnsafeBytes { try socket.send($0, .empty) }
            let thrown = await code {
                try await onThread("test-trickle") {
                    // A byte every few milliseconds is no silence, and 4000 of them would take twenty seconds.
                    while !socket.hasInput() {
                        try [UInt8(0)].withUnsafeBytes { try socket.send($0, .empty) }
                        usleep(5000)
                    }
                    // Its last words, not the heartbeat that comes after ten seconds.
                    try WireChannel(socket).receive { header, _ in #expect(header.kind == .failure) }
                }
            }
            #expect(thrown == .disconnected)
        }
    }
}
