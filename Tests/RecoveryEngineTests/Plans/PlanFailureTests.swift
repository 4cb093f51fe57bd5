import Hypervisors
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Plans: when something fails")
struct PlanFailureTests {
    @Test("A planned run refuses before it touches anything when a rule forbids one of its VMs")
    func refusedBeforehand() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers())
        try await rig.rig.run(.pause, "web")
        let report = try await rig.run(.planned, plan)
        #expect(report.run.state == .stopped)
        #expect(report.run.failure?.message.contains("web") == true)
        #expect(rig.log.all == [])
        try await rig.rig.run(.resume, "web")
        #expect(try await rig.run(.planned, plan).run.state == .succeeded)
        #expect(rig.running(at: "b") == PlanRig.vms)
    }

    @Test("A planned run stops at a VM that fails, and goes on from there when it is fixed and run again")
    func plannedStops() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(after: ["database": [rig.command("after-db")]]))
        rig.rig.world.setIgnoresShutdown("app1", at: "a", true)
        let report = try await rig.run(.planned, plan)
        #expect(report.run.state == .stopped)
        #expect(report.run.failure?.kind == "shutdown-timed-out")
        #expect(rig.running(at: "b") == [], "nothing was started at the other side")
        #expect(!rig.log.all.contains("action after-db"))
        #expect(rig.rig.world.power("db", at: "a") == .running, "the group before was not stopped yet")
        rig.rig.world.setIgnoresShutdown("app1", at: "a", false)
        let again = try await rig.run(.planned, plan)
        #expect(again.run.id == report.run.id, "the same run goes on")
        #expect(again.run.state == .succeeded, "\(again.run.failure?.message ?? "")")
        #expect(rig.running(at: "b") == PlanRig.vms)
        #expect(rig.rig.world.violations == [])
    }

    @Test("A VM that a stopped plan holds is said to wait for that plan, and goes on by its own operation, too")
    func heldIsSaid() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(before: ["front": [rig.command("bad")]]))
        let actions = FakeActions(log: rig.log)
        actions.fail("bad", times: 1)
        #expect(try await rig.run(.planned, plan, actions: actions).run.state == .stopped)
        let held = try await rig.rig.relationship("web")
        let next = try await rig.rig.engine.next(on: held)
        #expect(next.summary.contains("run the plan again"), "\(next.summary)")
        #expect(try await rig.rig.engine.recoverOpenJobs().isEmpty, "an engine that starts leaves it held")
        try await rig.rig.run(.plannedFailover, "web")
        #expect(rig.running(at: "b") == PlanRig.vms)
    }

    @Test("An unplanned run goes on past a VM that fails, reports it, and makes good for it when run again")
    func unplannedGoesOn() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(after: ["middle": [rig.command("after-app")]]))
        try await rig.rig.run(.testFailover, "app1")
        let report = try await rig.run(.unplanned, plan)
        #expect(report.run.state == .incomplete)
        #expect(report.run.failure?.message.contains("app1") == true)
        #expect(report.rows.map { $0.step?.state } == [.done, .failed, .done, .done])
        #expect(rig.running(at: "b") == ["db", "app2", "web"])
        #expect(rig.log.all.contains("action after-app"))
        try await rig.rig.run(.cleanUpTest, "app1")
        let again = try await rig.run(.unplanned, plan)
        #expect(again.run.id == report.run.id)
        #expect(again.run.state == .succeeded, "\(again.run.failure?.message ?? "")")
        #expect(rig.running(at: "b") == PlanRig.vms)
    }

    @Test("The site that is lost in the middle of a planned run is left by an unplanned one")
    func plannedThenUnplanned() async throws {
        for stage in [("db", "copy"), ("db", "start")] {
            let rig = try await PlanRig()
            let plan = try await rig.plan(PlanRig.tiers())
            let world = rig.rig.world
            var dependencies = rig.engine().dependencies
            dependencies.observer = { job, vm in
                if vm == stage.0, job.stages.first(where: { $0.state == .begun })?.name == stage.1 { world.lose("a") }
            }
            let report = try await rig.run(.planned, plan, by: RecoveryEngine(dependencies))
            if stage.1 == "copy" { #expect(report.run.state == .stopped) }
            let rescue = try await rig.run(.unplanned, plan, arguments: ["source": "declared lost"])
            #expect(rescue.run.state == .succeeded, "\(stage): \(rescue.run.failure?.message ?? "")")
            #expect(rig.running(at: "b") == PlanRig.vms, "\(stage)")
            let runs = try await rig.engine().runs(of: plan)
            if report.run.state == .stopped { #expect(runs.map(\.state) == [.succeeded, .superseded]) }
            #expect(rig.rig.world.violations == [])
        }
    }

    // MARK: Actions

    @Test(
        "A critical action that fails stops a planned run before the next group, and not an unplanned one",
        arguments: [PlanOperation.planned, .unplanned])
    func critical(_ operation: PlanOperation) async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(after: ["database": [rig.command("bad"), rig.command("next")]]))
        let actions = FakeActions(log: rig.log)
        actions.fail("bad", times: 1)
        let report = try await rig.run(operation, plan, actions: actions)
        #expect(
            report.run.failure?.message
                == "action 'bad' of group \"database\" failed: it ended with exit status 3: bad broke")
        let action = try #require(report.actions.first)
        #expect(action.state == .failed && action.output == "one\nbad broke", "its whole output is kept")
        if operation == .planned {
            #expect(report.run.state == .stopped)
            #expect(rig.running(at: "b") == ["db"])
            #expect(!rig.log.all.contains("action next"))
        } else {
            #expect(report.run.state == .incomplete)
            #expect(rig.running(at: "b") == PlanRig.vms)
            #expect(rig.log.all.contains("action next"))
        }
        rig.log.clear()
        let again = try await rig.run(operation, plan, actions: actions)
        #expect(again.run.state == .succeeded, "\(again.run.failure?.message ?? "")")
        #expect(
            rig.log.all.filter { $0.hasPrefix("action") }
                == (operation == .planned ? ["action bad", "action next"] : ["action bad"]))
        #expect(rig.running(at: "b") == PlanRig.vms)
    }

    @Test("An action that is not critical is a warning")
    func notCritical() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(
            PlanRig.tiers(after: ["database": [rig.command("bad") { $0.isCritical = false }]]))
        let actions = FakeActions(log: rig.log)
        actions.fail("bad", times: 1)
        let report = try await rig.run(.planned, plan, actions: actions)
        #expect(report.run.state == .succeeded)
        #expect(report.actions.map(\.state) == [.failed])
        let events = try await rig.rig.vault.read { try $0.events(about: nil, limit: 1000) }
        #expect(events.contains { $0.severity == .warning && $0.text.contains("action 'bad'") })
    }

    @Test("An action is tried again as often as it says")
    func retries() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(after: ["database": [rig.command("flaky") { $0.retries = 2 }]]))
        for (failures, state) in [(2, PlanRunState.succeeded), (3, .incomplete)] {
            let actions = FakeActions(log: rig.log)
            actions.fail("flaky", times: failures)
            let report = try await rig.run(.test, plan, actions: actions)
            #expect(report.run.state == state)
            #expect(report.actions.first?.attempts == 3)
            #expect(try await rig.run(.cleanUpTest, plan).run.state == .succeeded)
        }
    }

    @Test("An action that takes longer than its limit is ended and has failed")
    func timeout() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(before: ["database": [rig.command("hangs") { $0.timeout = 30 }]]))
        let clock = rig.rig.clock
        let ended = Mutex(false)
        let actions = FakeActions(
            log: rig.log,
            onCall: { _ in
                await withTaskCancellationHandler {
                    // The world's time goes on while it hangs.
                    while !Task.isCancelled {
                        clock.advance(seconds: 5)
                        await Task.yield()
                    }
                } onCancel: {
                    ended.withLock { $0 = true }
                }
                throw CancellationError()
            })
        let report = try await rig.run(.planned, plan, actions: actions)
        #expect(report.run.state == .stopped)
        #expect(report.run.failure?.message.hasSuffix("it was not done within 30 s") == true)
        #expect(ended.withLock { $0 })
        #expect(rig.running(at: "b") == [])
    }

    @Test("What has no power behind it fails and says what to grant")
    func powers() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(
            PlanRig.tiers(before: [
                "database": [rig.command("x")],
                "middle": [PlanAction(name: "f", work: .function(module: "m", function: "f"))],
                "front": [PlanAction(name: "g", work: .guestCommand(vm: "web", argv: ["/bin/true"]))],
            ]))
        let report = try await rig.engine().run(plan, PlanRunOptions(.test), powers: PlanPowers())
        #expect(report.run.state == .incomplete)
        #expect(
            report.actions.map(\.detail) == [
                "this run may not run commands", "this run has nothing to call a Lua function with",
                "this run may not run commands",
            ])
        // With the power: the fakes' hypervisor has no guest agent.
        try await rig.rig.run(.cleanUpTest, "web")
        let again = try await rig.run(.test, plan)
        #expect(again.actions.map(\.state) == [.done, .done, .failed])
        #expect(again.actions.last?.detail == "the host of web offers no way to run commands in a guest")
    }

    static let works: [(PlanWork, says: String, hint: String)] = [
        (.command(host: nil, argv: ["/bin/true"]), "may not run commands", "--grant exec"),
        (.guestCommand(vm: "web", argv: ["/bin/true"]), "may not run commands", "--grant exec"),
        (.function(module: "m", function: "f"), "nothing to call a Lua function with", "from a script"),
        (.inline(run: "r", number: 1), "nothing to call a Lua function with", "from a script"),
    ]

    @Test(
        "A planned failover without the powers that its actions need is refused while all VMs still run",
        arguments: works)
    func powersBeforehand(_ work: PlanWork, says: String, hint: String) async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(before: ["front": [PlanAction(name: "x", work: work)]]))
        let report = try await rig.engine().run(plan, PlanRunOptions(.planned), powers: PlanPowers())
        #expect(report.run.state == .stopped && report.run.failure?.kind == "refused")
        #expect(report.run.failure?.message.contains(says) == true && report.run.failure?.hint?.contains(hint) == true)
        #expect(rig.log.all == [] && rig.running(at: "a") == PlanRig.vms)
    }

    @Test("A plan of an older vault with a command on a host is refused beforehand; a warning or another kind is not")
    func commandOnHost() async throws {
        let rig = try await PlanRig()
        var plan = try await rig.plan(PlanRig.tiers(before: ["front": [rig.command("x")]]))
        func keep(_ change: (inout PlanAction) -> Void) async throws {
            var action = rig.command("x") { $0.work = .command(host: "b", argv: ["/bin/true"]) }
            change(&action)
            plan.groups = PlanRig.tiers(before: ["front": [action]])
            let wanted = plan
            try await rig.rig.vault.write { vault in
                guard var kept = try vault.object(RecoveryPlan.self, id: wanted.id) else { return }
                kept.value = wanted
                try vault.update(kept)
            }
        }
        try await keep { _ in }
        let report = try await rig.run(.planned, plan)
        #expect(report.run.failure?.message.contains("agents run no commands") == true)
        #expect(report.run.failure?.hint?.contains("/usr/bin/ssh") == true)
        #expect(rig.running(at: "a") == PlanRig.vms)
        try await keep { $0.isCritical = false }
        #expect(try await rig.run(.planned, plan).run.state == .succeeded)
        #expect(rig.running(at: "b") == PlanRig.vms)
    }

    @Test("A function is told of the run and its VMs")
    func context() async throws {
        let rig = try await PlanRig()
        let call = PlanAction(name: "f", work: .function(module: "m", function: "f"))
        let plan = try await rig.plan(PlanRig.tiers(before: ["middle": [call]], after: ["middle": [call]]))
        let actions = FakeActions(log: rig.log)
        _ = try await rig.run(.unplanned, plan, actions: actions)
        let contexts = actions.contexts.withLock { $0 }
        #expect(contexts.map(\.place) == ["before", "after"])
        let before = try #require(contexts.first)
        #expect(before.vms.map(\.name) == ["app1", "app2"])
        #expect(before.vms.allSatisfy { $0.point == 2 && $0.target == "b" && $0.state == .failingOver })
        #expect(contexts.last?.vms.allSatisfy { $0.state == .failedOver && $0.owner == "b" } == true)
        #expect(before.operation == .unplanned && before.direction == .primaryToRecovery && before.group == "middle")
    }

    // MARK: People

    private let ask = PlanAction(name: "dns", work: .manual(instructions: "Add the test zone."))

    @Test("A manual action waits for the person and keeps what was observed")
    func manual() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(before: ["database": [ask]]))
        let world = rig.rig.world
        let actions = FakeActions(
            log: rig.log,
            answer: { _ in
                #expect(world.power("db-test", at: "b") == nil, "nothing is started before")
                return "zone added by Ann"
            })
        let report = try await rig.run(.test, plan, actions: actions)
        #expect(report.run.state == .succeeded)
        #expect(report.actions.first?.observation == "zone added by Ann")
        #expect(rig.log.all.first == "asked Add the test zone.")
    }

    @Test("A manual action may be confirmed from another process, and outlives the engine")
    func confirmedFromElsewhere() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(before: ["database": [ask]]))
        let nobody = try await engineError {
            _ = try await rig.rig.engine.confirm(plan: plan, observation: "too early")
        }
        #expect(nobody.kind == .invalid)
        // The first engine dies while it waits for an answer that never comes.
        let asked = AsyncStream.makeStream(of: Void.self)
        let first = Task {
            try await rig.run(
                .test, plan, by: rig.engine("dies"),
                actions: FakeActions(
                    log: rig.log,
                    answer: { _ in
                        asked.continuation.yield()
                        while true { try await rig.rig.clock.sleep(seconds: 3600) }
                    }))
        }
        for await _ in asked.stream { break }
        first.cancel()
        _ = await first.result
        let open = try #require(try await rig.engine().runs(of: plan).first)
        #expect(open.state == .running)
        let waiting = try await rig.engine().report(of: open, plan: plan)
        #expect(waiting.actions.map(\.state) == [.waiting])
        let second = Task {
            try await rig.engine("second").run(plan, PlanRunOptions(.test), powers: PlanPowers())
        }
        var confirmed: PlanStep?
        while confirmed == nil { confirmed = try? await rig.rig.engine.confirm(plan: plan, observation: "seen") }
        let report = try await second.value
        #expect(report.run.id == open.id && report.run.state == .succeeded)
        #expect(report.actions.first?.observation == "seen")
    }

    @Test("A person who says that it cannot be done stops a planned run")
    func declined() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers(before: ["middle": [ask]]))
        let actions = FakeActions(
            log: rig.log, answer: { _ in throw EngineError(.failed, "declined: the zone is locked") })
        let report = try await rig.run(.planned, plan, actions: actions)
        #expect(report.run.state == .stopped)
        #expect(report.run.failure?.message.hasSuffix("declined: the zone is locked") == true)
        #expect(rig.running(at: "b") == ["db"])
    }
}
