import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("A job whose engine died is named, with what takes it up")
struct OrphanedJobTests {
    /// A VM with a job whose engine died after so many effects.
    private func orphan(
        _ operation: SiteModel.Operation, _ arguments: [String: String] = [:], effects: Int = 2
    ) async throws -> Rig {
        let rig = try await Rig()
        try await rig.protect()
        let fuse = Fuse(.dieAfterEffect(effects))
        _ = try? await rig.run(operation, "orders", arguments, by: rig.engine("vaulthost:77:x", fuse: fuse))
        #expect(fuse.wentOff)
        return rig
    }

    @Test("While the lease runs it counts as driven, then as dead; the summary says so and names what takes it up")
    func standing() async throws {
        let rig = try await orphan(.plannedFailover)
        let before = try await rig.engine.status(of: try await rig.relationship())
        guard case .driven(let holder) = before.jobStanding else {
            Issue.record("\(String(describing: before.jobStanding))")
            return
        }
        #expect(holder.words == "process 77 at vaulthost")
        #expect(before.next.summary.contains("wait for its end"))
        rig.clock.advance(seconds: 60)
        let after = try await rig.engine.status(of: try await rig.relationship())
        #expect(after.jobStanding?.isOrphaned == true && after.job?.operation == .plannedFailover)
        #expect(after.next.summary.contains("its engine is dead") && after.next.summary.contains("perilune replicate"))
        #expect(after.job?.command(vm: "orders") == ["failover", "orders", "--planned"])
        try await rig.run(.plannedFailover)
        #expect(try await rig.engine.status(of: try await rig.relationship()).jobStanding == nil)
    }

    struct Row: Sendable, CustomTestStringConvertible {
        var operation: SiteModel.Operation
        var arguments: [String: String] = [:]
        var command: String?
        var testDescription: String { "\(operation.rawValue) \(arguments.sorted { $0.key < $1.key })" }
    }

    static let rows: [Row] = [
        Row(operation: .sync, command: "sync vm"),
        Row(operation: .pause, arguments: ["at": "target"]),
        Row(
            operation: .plannedFailover, arguments: ["shutdown_limit": "120.0"],
            command: "failover vm --planned --shutdown-limit 120.0s"),
        Row(
            operation: .unplannedFailover, arguments: ["source": "fence", "point": "3"],
            command: "failover vm --fence --point 3"),
        Row(
            operation: .unplannedFailover, arguments: ["source": "declared lost"],
            command: "failover vm --declared-lost"),
        Row(operation: .unplannedFailover, arguments: [:]),
        Row(
            operation: .testFailover, arguments: ["keep": "true", "network": "create", "within": "7200.0"],
            command: "test vm --network create --within 7200.0s"),
        Row(operation: .testFailover, arguments: ["network": "create"]),
        Row(operation: .testFailover, arguments: ["keep": "true", "host_address": "192.168.1.1/24"]),
        Row(operation: .cancelResync, command: "resync vm --cancel"),
        Row(operation: .protect),
    ]

    @Test("A job is put as the command that began it, with its options, or not at all", arguments: rows)
    func command(_ row: Row) {
        let job = Job(
            id: "j", operation: row.operation, relationship: "r", arguments: row.arguments, origin: .protected,
            stages: [],
            startedAt: Timestamp(milliseconds: 0), run: nil)
        #expect(job.command(vm: "vm")?.joined(separator: " ") == row.command)
    }

    @Test("A refusal after another job was driven on says so, and is no refusal that changed nothing")
    func refusedAfterTheOther() async throws {
        let rig = try await orphan(.plannedFailover)
        rig.clock.advance(seconds: 60)
        let error = try await engineError {
            try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        }
        #expect(try await rig.relationship().state == .failedOver)
        #expect(error.kind == .failed && error.rule == nil)
        #expect(error.message.contains("planned-failover of orders") && error.message.contains("driven to its end"))
        #expect(error.message.contains("failed-over at b"))
        #expect((error.cause as? EngineError)?.rule != nil)
    }

    @Test("The same where the engine took that job up by itself when it started; it waits for it, and so does its end")
    func takenUpAtTheStart() async throws {
        let rig = try await orphan(.plannedFailover)
        rig.clock.advance(seconds: 60)
        let fuse = Fuse(.suspendAfterEffect(1))
        let engine = rig.engine("starts", fuse: fuse)
        let recovery = Task { try await engine.recoverOpenJobs() }
        await fuse.waitUntilSuspended()
        let attempt = Task { try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"], by: engine) }
        for _ in 0..<100 { await Task.yield() }
        fuse.resume()
        let error = try await engineError { _ = try await attempt.value }
        #expect(error.kind == .failed && error.message.contains("driven to its end"), "\(error)")
        await engine.finishRecoveries()
        #expect(try await rig.relationship().state == .failedOver)
        _ = try await recovery.value
    }

    @Test("An orphan that fails and is given up is in nobody's way")
    func givenUp() async throws {
        let rig = try await orphan(.plannedFailover, effects: 1)
        rig.clock.advance(seconds: 60)
        rig.world.lose("a")
        try await rig.run(.unplannedFailover, "orders", ["source": "declared lost"])
        #expect(try await rig.relationship().owner == "b")
        #expect(try await rig.jobs().contains { $0.operation == .plannedFailover && $0.state == .failed })
        #expect(rig.world.violations == [])
    }
}
