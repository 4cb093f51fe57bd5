import Foundation
import Glibc
import SiteModel
import Synchronization
import TestSupport
import Testing

@testable import BlockReplication

@Suite("Nobody waits for ever for an agent that hangs")
struct AgentSilenceTests {
    /// An agent that takes requests in and never answers; the calls that it got.
    private final class HungAgent: Sendable {
        let socket: String
        private let interrupt: Interrupt
        private let thread: WorkerThread<Void>
        private let got: Calls

        private final class Calls: Sendable {
            let value = Mutex<[String]>([])
        }

        var calls: [String] { got.value.withLock { $0 } }

        init(folder: String) throws {
            socket = folder + "/control"
            let interrupt = try Interrupt()
            self.interrupt = interrupt
            let got = Calls()
            self.got = got
            thread = try SocketListener(SocketAddress(socket), interrupt: interrupt).start("hung") { socket in
                let connection = ControlConnection(socket)
                while let message = try? connection.read(),
                    let head = try? AgentDispatch.decode(ControlRequestHead.self, message)
                {
                    got.value.withLock { $0.append(head.call) }
                }
            }
        }

        func end() async throws {
            interrupt.trigger(ReplicationError.givenUp)
            try await onThread("test-join") { [thread] in try thread.join() }
        }
    }

    /// What a client has seen of a transfer.
    private final class Heard: Sendable {
        let count = Mutex(0)
        let hasEnded = Mutex(false)
    }

    private var request: SendPoint {
        let ticket = PointTicket(relationship: "r", generation: TwoSites.generation(1), token: "", address: "")
        return SendPoint(ticket: ticket, disks: [])
    }

    @Test("a transfer of which nothing is heard is given up, and cancelled at the agent")
    func hungAgent() async throws {
        let scratch = try Scratch()
        let agent = try HungAgent(folder: scratch.path)
        let client = AgentClient(controlSocket: agent.socket, transferSilenceSeconds: 0.2)
        do {
            _ = try await client.sendPoint(request) { _ in }
            Issue.record("a hung agent answers nothing")
        } catch let error as ReplicationError {
            #expect(error.code == .timedOut)
            #expect(error.hint.contains("hangs"))
        }
        #expect(await eventually { agent.calls == ["sendPoint", "cancel"] })
        client.close()
        try await agent.end()
    }

    @Test("a transfer that waits for its receiver goes on, because its agent says that it lives")
    func slowReceiver() async throws {
        var limits = AgentLimits()
        limits.progressSeconds = 0.05
        try await TwoSites.with(limits: limits) { sites in
            let image = try await sites.makeImage("disk", mebibytes: 32)
            let disks = [SourceDisk.stopped(image, mebibytes: 32, .everything)]
            var ticket = try await sites.open(TwoSites.generation(1), after: nil, disks)
            let proxy = try FaultyProxy(to: ticket.address, .stall(after: 500_000))
            defer { proxy.end() }
            ticket.address = proxy.address
            let request = SendPoint(ticket: ticket, disks: disks)
            let client = AgentClient(controlSocket: sites.file("a/control"), transferSilenceSeconds: 15)
            let heard = Heard()
            let task = Task {
                let thrown = await code {
                    _ = try await client.sendPoint(request) { _ in heard.count.withLock { $0 += 1 } }
                }
                heard.hasEnded.withLock { $0 = true }
                return thrown
            }
            #expect(await eventually { proxy.hasStalled || heard.hasEnded.withLock { $0 } })
            let start = ContinuousClock.now
            // Longer than the limit of silence, with many reports.
            let goesOn = await eventually {
                heard.hasEnded.withLock { $0 }
                    || (ContinuousClock.now - start > .seconds(17) && heard.count.withLock { $0 } > 10)
            }
            #expect(goesOn && proxy.hasStalled && !heard.hasEnded.withLock { $0 })
            task.cancel()
            #expect(await task.value == .cancelled)
            client.close()
        }
    }

    /// Two ends of a connection.
    private func pair() throws -> (StreamSocket, StreamSocket) {
        var pair: [Int32] = [0, 0]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
        return (
            StreamSocket(descriptor: pair[0], interrupt: try Interrupt()),
            StreamSocket(descriptor: pair[1], interrupt: try Interrupt())
        )
    }

    /// Sends far more than a socket holds; what ends it.
    private func flood(_ socket: StreamSocket) async -> ReplicationError.Code? {
        await code {
            try await onThread("test-flood") {
                let data = [UInt8](repeating: 1, count: 8 << 20)
                try data.withUnsafeBytes { try socket.send($0, .empty) }
            }
        }
    }

    /// Sends a byte now and then, as heartbeats are, until the socket ends.
    private func beat(_ socket: StreamSocket, until stop: Interrupt) -> WorkerThread<Void> {
        WorkerThread("test-beat") {
            while stop.reason == nil {
                try [UInt8(1)].withUnsafeBytes { try socket.send($0, .empty) }
                var entry = pollfd(fd: stop.descriptor, events: Int16(POLLIN), revents: 0)
                poll(&entry, 1, 100)
            }
        }
    }

    @Test("a peer that reads nothing is given up: soon when silent, after the longer limit when it lives")
    func stalledReader() async throws {
        for (lives, expected) in [(false, ReplicationError.Code.disconnected), (true, .timedOut)] {
            let (sender, peer) = try pair()
            sender.setIdleLimit(seconds: 4)
            sender.setWriteLimit(seconds: 8)
            let stop = try Interrupt()
            let heart = lives ? beat(peer, until: stop) : nil
            let start = ContinuousClock.now
            #expect(await flood(sender) == expected)
            #expect(ContinuousClock.now - start >= .seconds(lives ? 8 : 4))
            stop.trigger(ReplicationError.givenUp)
            try await onThread("test-join") { try heart?.join() }
        }
    }

    @Test("a peer that lives and reads on after a while gets everything")
    func slowReader() async throws {
        let (sender, peer) = try pair()
        // A busy machine keeps a thread from its beats for seconds.
        sender.setIdleLimit(seconds: 15)
        let stop = try Interrupt()
        let heart = beat(peer, until: stop)
        async let sent = flood(sender)
        let data = try await onThread("test-read") {
            // So many beats, a tenth of a second apart, lie unread at the sender: longer than the limit of silence. The
            // socket holds some 270 of them: those to come while a busy machine takes its time to read have room.
            var count: Int32 = 0
            while count < 170 {
                try #require(ioctl(sender.descriptor, UInt(FIONREAD), &count) == 0)
                usleep(10_000)
            }
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 16)
            defer { buffer.deallocate() }
            try peer.receive(buffer)
            return buffer.allSatisfy { $0 == 1 }
        }
        #expect(data)
        #expect(await sent == nil)
        stop.trigger(ReplicationError.givenUp)
        try await onThread("test-join") { try heart.join() }
    }
}
