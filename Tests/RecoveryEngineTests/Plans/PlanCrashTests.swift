import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("Plans: an engine that dies, and the run that goes on")
struct PlanCrashTests {
    private func prepared() async throws -> (PlanRig, RecoveryPlan) {
        let rig = try await PlanRig()
        let plan = try await rig.plan(
            [
                PlanGroup(name: "database", vms: ["db"], after: [rig.command("after-db")]),
                PlanGroup(name: "front", vms: ["web"], before: [rig.command("before-web")]),
            ])
        return (rig, plan)
    }

    /// Every write and every effect is a place to die at; a stride keeps the suite short, with each phase in it.
    @Test(
        "After a death anywhere the plan is run again and ends as if nothing had happened",
        arguments: [PlanOperation.planned, .unplanned], [true, false])
    func everyDeath(_ operation: PlanOperation, _ afterWrite: Bool) async throws {
        var deaths = 0
        for number in stride(from: 1, to: 2000, by: afterWrite ? 5 : 3) {
            let (rig, plan) = try await prepared()
            let fuse = Fuse(afterWrite ? .dieAfterWrite(number) : .dieAfterEffect(number))
            _ = try? await rig.run(operation, plan, by: rig.engine("dies", fuse: fuse))
            guard fuse.wentOff else { break }
            deaths += 1
            let next = rig.engine("next")
            // The last word was written: there is nothing to go on with.
            if try await next.runs(of: plan).first?.state == .succeeded { break }
            // What any process does when it starts must not start VMs out of turn.
            try await next.recoverOpenJobs()
            let webRuns = rig.rig.world.power("web", at: "b") == .running
            let dbRuns = rig.rig.world.power("db", at: "b") == .running
            #expect(dbRuns || !webRuns, "death \(number): web runs before its database")
            let report = try await rig.run(operation, plan, by: next)
            #expect(report.run.state == .succeeded, "death \(number): \(report.run.failure?.message ?? "")")
            #expect(rig.rig.world.violations == [], "death \(number)")
            for vm in ["db", "web"] {
                #expect(try await rig.rig.relationship(vm).state == .failedOver)
                #expect(rig.rig.world.power(vm, at: "b") == .running)
                #expect(rig.rig.world.power(vm, at: "a") != .running)
            }
            #expect(
                report.rows.allSatisfy { $0.step?.state == .done },
                "death \(number): \(report.rows.map { $0.step?.state })")
            #expect(report.actions.count == 2 && report.actions.allSatisfy { $0.state == .done })
            #expect(try await next.runs(of: plan).count == 1)
            #expect(try await rig.rig.vault.read { try $0.openJobs().count } == 0)
        }
        #expect(deaths >= 5)
    }

    @Test("Actions that are done are not done again")
    func actionsOnce() async throws {
        let (rig, plan) = try await prepared()
        let actions = FakeActions(log: rig.log, onCall: { if $0 == "before-web" { throw EngineError(.failed, "no") } })
        #expect(try await rig.run(.planned, plan, actions: actions).run.state == .stopped)
        #expect(try await rig.run(.planned, plan).run.state == .succeeded)
        #expect(rig.log.all.count { $0 == "action after-db" } == 1)
        #expect(rig.log.all.count { $0 == "action before-web" } == 2)
    }

    @Test("Two engines do not run one plan at a time")
    func once() async throws {
        let (rig, plan) = try await prepared()
        let (refused, other) = (AsyncStream.makeStream(of: EngineError?.self), rig.engine("other"))
        let actions = FakeActions(
            log: rig.log,
            onCall: { word in
                guard word == "after-db" else { return }
                do {
                    _ = try await other.run(plan, PlanRunOptions(.planned))
                    refused.continuation.yield(nil)
                } catch {
                    refused.continuation.yield(error as? EngineError)
                }
            })
        #expect(try await rig.run(.planned, plan, actions: actions).run.state == .succeeded)
        for await error in refused.stream {
            #expect(error?.kind == .busy)
            break
        }
    }

    @Test("A VM that a plan holds before its start is started by the same operation on it alone")
    func takenOut() async throws {
        let (rig, plan) = try await prepared()
        let actions = FakeActions(log: rig.log)
        actions.fail("after-db", times: 1)
        #expect(try await rig.run(.planned, plan, actions: actions).run.state == .stopped)
        let held = try #require(try await rig.rig.vault.read { try $0.openJobs().map(\.value) }.first)
        #expect(held.isHeld && held.hold == .start)
        try await rig.engine().recoverOpenJobs()
        #expect(rig.running(at: "b") == ["db"], "recovery leaves it held")
        let refusal = try await engineError { try await rig.rig.run(.commit, "web") }
        #expect(refusal.kind == .refused)
        try await rig.rig.run(.plannedFailover, "web")
        #expect(rig.running(at: "b") == ["db", "web"])
        #expect(try await rig.run(.planned, plan).run.state == .succeeded)
    }
}
