import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryEngine

@Suite("One replicator for a vault", .timeLimit(.minutes(5)))
struct ReplicatorPostTests {
    /// A post whose work lasts until it is told to end.
    private final class Shift: Sendable {
        let ends = AsyncStream.makeStream(of: Void.self)
        let begun = Mutex(false)

        var hasBegun: Bool { begun.withLock { $0 } }

        func work() async throws {
            begun.withLock { $0 = true }
            for await _ in ends.stream { return }
            throw CancellationError()
        }

        func begin(_ engine: RecoveryEngine, waiting: Bool = false) -> Task<Void, any Error> {
            Task { try await ReplicatorPost(engine: engine).hold(waiting: waiting) { try await self.work() } }
        }
    }

    private func until(_ condition: () async throws -> Bool) async throws {
        while try await !condition() { await Task.yield() }
    }

    @Test("A second one is refused, and told who has the vault since when; the first goes on")
    func refused() async throws {
        let rig = try await Rig()
        let shift = Shift()
        let first = shift.begin(rig.engine("vaulthost:4711:aa"))
        try await until { shift.hasBegun && rig.clock.sleeping == 1 }
        let told = Mutex(0)
        let error = try await engineError {
            try await ReplicatorPost(engine: rig.engine("vaulthost:4712:bb")).hold(
                onWait: { _ in told.withLock { $0 += 1 } }
            ) { Issue.record("the second one worked") }
        }
        #expect(error.kind == .busy && told.withLock { $0 } == 1)
        #expect(error.message.contains("process 4711 at vaulthost since 2023-11-14"), "\(error.message)")
        #expect(try await rig.engine.replicatorStanding().isRunning)
        shift.ends.continuation.yield()
        try await first.value
        guard case .stopped(let holder, _) = try await rig.engine.replicatorStanding() else {
            Issue.record("it stopped in good order")
            return
        }
        #expect(holder.processID == 4711)
    }

    @Test("One that waits follows the first when that ends")
    func follows() async throws {
        let rig = try await Rig()
        let (shift, next) = (Shift(), Shift())
        let first = shift.begin(rig.engine("h:1:a"))
        try await until { shift.hasBegun && rig.clock.sleeping == 1 }
        rig.clock.standStill()
        let second = next.begin(rig.engine("h:2:b"), waiting: true)
        for _ in 0..<100 {
            try await until { rig.clock.sleeping == 2 }
            rig.clock.advance(seconds: 0.5)
        }
        #expect(!next.hasBegun)
        shift.ends.continuation.yield()
        try await first.value
        try await until { rig.clock.sleeping > 0 }
        rig.clock.advance(seconds: 0.5)
        try await until { next.hasBegun }
        next.ends.continuation.yield()
        try await second.value
    }

    @Test("One whose process died is succeeded when its lease has run out")
    func succeeded() async throws {
        let rig = try await Rig()
        // It neither renews nor gives up.
        try await rig.vault.write { [now = rig.clock.now] vault in
            _ = try vault.acquireLease("replicator", holder: "h:1:a", now: now, lifetime: 15)
            try vault.insert(ReplicatorRecord(id: "r", holder: "h:1:a", startedAt: now))
        }
        let began = rig.clock.now
        let worked = Mutex(false)
        try await ReplicatorPost(engine: rig.engine("h:2:b")).hold { worked.withLock { $0 = true } }
        #expect(worked.withLock { $0 })
        #expect((14...16).contains(rig.clock.now.seconds(since: began)))
    }

    @Test("Who has stood still and lost the vault to another stops, and says why")
    func lost() async throws {
        let rig = try await Rig()
        let shift = Shift()
        rig.clock.standStill()
        let first = shift.begin(rig.engine("h:1:a"))
        try await until { shift.hasBegun && rig.clock.sleeping == 1 }
        try await rig.vault.write { [now = rig.clock.now.advanced(bySeconds: 20)] vault in
            _ = try vault.acquireLease("replicator", holder: "h:2:b", now: now, lifetime: 15)
        }
        rig.clock.advance(seconds: 20)
        let error = try await engineError { try await first.value }
        #expect(error.kind == .leaseLost && error.hint?.contains("--wait") == true)
        #expect(try await rig.vault.read { try $0.lease("replicator")?.holder } == "h:2:b")
    }

    @Test("Without a word it counts as dead, and how long nothing was heard is told")
    func died() async throws {
        let rig = try await Rig()
        #expect(try await rig.engine.replicatorStanding() == .never)
        try await rig.vault.write { [now = rig.clock.now] vault in
            _ = try vault.acquireLease("replicator", holder: "h:1:a", now: now, lifetime: 15)
            try vault.insert(ReplicatorRecord(id: "r", holder: "h:1:a", startedAt: now))
        }
        rig.clock.advance(seconds: 90)
        let standing = try await rig.engine.replicatorStanding()
        #expect(standing.words(now: rig.clock.now) == "process 1 at h died: it was last heard of 90 s ago")
    }
}
