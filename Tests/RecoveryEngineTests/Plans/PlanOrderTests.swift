import Hypervisors
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@Suite("Plans: what is done in which order")
struct PlanOrderTests {
    @Test("A planned failover stops all VMs, the last group first, moves all, and then starts group by group")
    func planned() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(
            PlanRig.tiers(
                before: ["database": [rig.command("before-db")], "front": [rig.command("before-web")]],
                after: ["database": [rig.command("after-db")], "middle": [rig.command("after-app")]],
                extra: [
                    PlanGroup(
                        name: "shutdown", kind: .shutdown, before: [rig.command("drain")],
                        after: [rig.command("stopped")]),
                    PlanGroup(name: "failover", kind: .failover, after: [rig.command("moved")]),
                ]))
        let report = try await rig.run(.planned, plan)
        #expect(report.run.state == .succeeded, "\(report.run.failure?.message ?? "")")
        #expect(rig.running(at: "b") == PlanRig.vms)
        #expect(rig.rig.world.violations == [])
        let order = [
            "action drain", "web shut-down-source", "app1 shut-down-source", "db shut-down-source", "action stopped",
            "db define", "action moved", "action before-db", "db start", "db confirm", "action after-db", "app1 start",
            "app1 confirm", "action after-app", "action before-web", "web start",
        ]
        let places = try order.map { try rig.log.place($0) }
        #expect(places == places.sorted(), "\(rig.log.all)")
        for vm in PlanRig.vms {
            #expect(try rig.log.place("\(vm) copy") > rig.log.place("action stopped"))
            #expect(try rig.log.place("\(vm) connect") < rig.log.place("action moved"))
        }
        #expect(report.rows.map(\.vm) == ["db", "app1", "app2", "web"])
        #expect(report.rows.allSatisfy { $0.step?.state == .done && $0.step?.lossSeconds == 0 })
        #expect(report.rows.allSatisfy { $0.stages.map(\.name).contains("confirm") && $0.owner == "b" })
    }

    @Test("An unplanned failover of a lost site moves all VMs and starts them group by group, and says what is lost")
    func unplanned() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers())
        rig.rig.clock.advance(seconds: 40)
        rig.rig.world.lose("a")
        let report = try await rig.run(.unplanned, plan, arguments: ["source": "declared lost"])
        #expect(report.run.state == .succeeded, "\(report.run.failure?.message ?? "")")
        #expect(rig.running(at: "b") == PlanRig.vms)
        let places = try ["web connect", "db start", "app2 start", "web start"].map { try rig.log.place($0) }
        #expect(places == places.sorted(), "\(rig.log.all)")
        #expect(report.rows.allSatisfy { ($0.step?.lossSeconds ?? 0) >= 40 })
        #expect((40...50).contains(report.rows.last?.step?.lossSeconds ?? 0), "its point was the last before the loss")
    }

    @Test("A fence ends each host before the VMs are moved")
    func fenced() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers())
        let report = try await rig.run(.unplanned, plan, arguments: ["source": "fence"])
        #expect(report.run.state == .succeeded, "\(report.run.failure?.message ?? "")")
        #expect(rig.running(at: "b") == PlanRig.vms)
        #expect(try rig.log.place("db fence-source") < rig.log.place("web fence-source"))
    }

    @Test("Groups that wait for nothing of each other run side by side; others wait for what they name")
    func graph() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan([
            PlanGroup(name: "web", vms: ["web"], dependsOn: ["db", "apps"]),
            PlanGroup(name: "apps", vms: ["app1", "app2"], after: [rig.command("apps-up")], dependsOn: []),
            PlanGroup(name: "db", vms: ["db"], after: [rig.command("db-up")], dependsOn: []),
        ])
        let report = try await rig.run(.planned, plan)
        #expect(report.run.state == .succeeded)
        for word in ["action db-up", "action apps-up"] {
            #expect(try rig.log.place(word) < rig.log.place("web start"))
        }
        #expect(try rig.log.place("web shut-down-source") < rig.log.place("db shut-down-source"))
    }

    @Test("Actions are done where their kind and direction fit, test clean-up included")
    func filters() async throws {
        let rig = try await PlanRig()
        func on(_ word: String, _ operations: [PlanOperation], _ directions: [PlanDirection] = PlanDirection.allCases)
            -> PlanAction
        {
            rig.command(word) {
                $0.operations = operations
                $0.directions = directions
            }
        }
        let plan = try await rig.plan(
            PlanRig.tiers(after: [
                "front": [
                    on("tested", [.test]), on("cleaned", [.cleanUpTest]), on("moved", [.planned]),
                    on("there", PlanOperation.allCases, [.primaryToRecovery]),
                    on("back", PlanOperation.allCases, [.recoveryToPrimary]), on("committed", [.commit]),
                    on("reversed", [.reverse]), on("lost", [.unplanned]),
                ]
            ]))
        let expected: [(PlanOperation, [String])] = [
            (.test, ["tested", "there"]), (.cleanUpTest, ["cleaned", "there"]), (.planned, ["moved", "there"]),
            (.commit, ["there", "committed"]), (.reverse, ["there", "reversed"]), (.planned, ["moved", "back"]),
            (.commit, ["back", "committed"]), (.reverse, ["back", "reversed"]),
        ]
        for (operation, words) in expected {
            rig.log.clear()
            let report = try await rig.run(operation, plan)
            #expect(report.run.state == .succeeded, "\(operation): \(report.run.failure?.message ?? "")")
            #expect(rig.log.all.filter { $0.hasPrefix("action") } == words.map { "action \($0)" }, "\(operation)")
            #expect(report.actions.map(\.state) == words.map { _ in .done })
        }
        #expect(rig.running(at: "a") == PlanRig.vms, "failed over and back")
        #expect(try await rig.states().values.allSatisfy { $0 == .protected })
        #expect(rig.rig.world.violations == [])
    }

    @Test("A test starts its VMs in order, is not begun twice, and is cleaned up in the reverse order")
    func testAndCleanUp() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers())
        let test = try await rig.run(.test, plan)
        #expect(test.run.state == .succeeded, "\(test.run.failure?.message ?? "")")
        let tests = try ["db create-test", "app1 create-test", "web create-test"].map { try rig.log.place($0) }
        #expect(tests == tests.sorted())
        #expect(rig.running(at: "a") == PlanRig.vms, "production runs on")
        let refusal = try await engineError { _ = try await rig.run(.test, plan) }
        #expect(refusal.rule == "test-in-progress")
        rig.log.clear()
        #expect(try await rig.run(.cleanUpTest, plan).run.state == .succeeded)
        let ends = try ["web remove-test", "app2 remove-test", "db remove-test"].map { try rig.log.place($0) }
        #expect(ends == ends.sorted())
        #expect(try await rig.states().values.allSatisfy { $0 == .protected })
        let again = try await rig.run(.cleanUpTest, plan)
        #expect(again.rows.allSatisfy { $0.step?.state == .skipped })
    }

    @Test("A VM that another plan has moved is passed over")
    func skipped() async throws {
        let rig = try await PlanRig()
        let first = try await rig.plan([PlanGroup(name: "db", vms: ["db"])], name: "database")
        let plan = try await rig.plan(PlanRig.tiers())
        #expect(try await rig.run(.planned, first).run.state == .succeeded)
        rig.log.clear()
        let report = try await rig.run(.planned, plan)
        #expect(report.run.state == .succeeded, "\(report.run.failure?.message ?? "")")
        #expect(report.rows.map { $0.step?.state } == [.skipped, .done, .done, .done])
        #expect(!rig.log.all.contains { $0.hasPrefix("db ") })
    }

    @Test("Where VMs are active at both sides the operator says the direction")
    func directions() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(PlanRig.tiers())
        try await rig.rig.run(.plannedFailover, "web")
        try await rig.rig.run(.commit, "web")
        try await rig.rig.run(.reverse, "web")
        let refusal = try await engineError { _ = try await rig.run(.planned, plan) }
        #expect(refusal.rule == "choose-direction")
        #expect(refusal.message.contains("web at the recovery side"))
        let there = try await rig.run(.planned, plan, direction: .primaryToRecovery)
        #expect(there.rows.map { $0.step?.state } == [.done, .done, .done, .skipped])
        #expect(rig.running(at: "b") == PlanRig.vms)
    }

    @Test("A plan waits for groups of others that are under way, and refuses to wait in vain")
    func otherPlans() async throws {
        let rig = try await PlanRig()
        let infra = try await rig.plan([PlanGroup(name: "db", vms: ["db"])], name: "infra")
        let shop = try await rig.plan(
            [
                PlanGroup(name: "apps", vms: ["app1", "app2"], dependsOn: ["infra/db"]),
                PlanGroup(name: "web", vms: ["web"]),
            ],
            name: "shop")
        let early = try await rig.run(.planned, shop)
        #expect(early.run.state == .stopped)
        #expect(early.run.failure?.message.contains("waits for infra/db, which is not over") == true)
        #expect(rig.running(at: "a") == PlanRig.vms, "nothing was touched")
        #expect(try await rig.run(.planned, infra).run.state == .succeeded)
        let late = try await rig.run(.planned, shop)
        #expect(late.run.state == .succeeded, "\(late.run.failure?.message ?? "")")
    }
}
