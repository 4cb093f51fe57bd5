import Foundation
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@Suite("Plans: keeping, exporting, importing")
struct PlanKeepingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var what: String
        var groups: [PlanGroup]
        var source = "vmm"
        var target = "vmm"
        var kind: EngineError.Kind
        var says: String
        var hint: String?
        var testDescription: String { what }
    }

    @Test("A plan says at which actions a run of each kind waits for a person")
    func manualActions() {
        func manual(_ name: String, _ operations: [PlanOperation], _ directions: [PlanDirection]) -> PlanAction {
            PlanAction(name: name, work: .manual(instructions: "look"), operations: operations, directions: directions)
        }
        let groups = [
            PlanGroup(
                name: "x", vms: ["web"],
                before: [manual("switch", [.planned, .unplanned], PlanDirection.allCases)],
                after: [
                    manual("home", [.planned], [.recoveryToPrimary]), PlanAction(name: "w", work: .wait(seconds: 1)),
                ])
        ]
        let plan = RecoveryPlan(id: "p", name: "shop", source: "s", target: "s", groups: groups)
        #expect(plan.manualActions(for: .planned).map(\.name) == ["switch", "home"])
        #expect(plan.manualActions(for: .planned, .primaryToRecovery).map(\.name) == ["switch"])
        #expect(plan.manualActions(for: .unplanned).map(\.name) == ["switch"])
        #expect(plan.manualActions(for: .test).isEmpty)
    }

    static let wrong: [Case] = [
        Case(
            what: "an unknown server", groups: PlanRig.tiers(), source: "vm", kind: .unknown,
            says: "source: the vault has no server 'vm'", hint: "did you mean 'vmm'?"),
        Case(
            what: "another server's items", groups: PlanRig.tiers(), target: "other", kind: .invalid,
            says: "plan shop, group \"database\": db is not replicated from server vmm to server other"),
        Case(
            what: "a VM that is not protected", groups: [PlanGroup(name: "x", vms: ["wbe"])], kind: .unknown,
            says: "plan shop, group \"x\": wbe is not a protected item", hint: "did you mean 'web'?"),
        Case(
            what: "a command on a host",
            groups: [
                PlanGroup(
                    name: "x", vms: ["web"],
                    before: [PlanAction(name: "c", work: .command(host: "c", argv: ["/bin/true"]))])
            ], kind: .invalid,
            says: "plan shop, group \"x\": action 'c' runs a command on host 'c', and agents run no commands in this "
                + "version",
            hint: "leave 'host' out and let the command go there itself, as command = { \"/usr/bin/ssh\", \"c\", ... }"),
        Case(
            what: "a circle",
            groups: [PlanGroup(name: "x", vms: ["web"], dependsOn: ["y"]), PlanGroup(name: "y", vms: ["db"])],
            kind: .refused, says: "plan shop: the groups wait for each other in a circle: shop/x -> shop/y -> shop/x"),
    ]

    @Test("What the vault does not know is refused by name", arguments: wrong)
    func refused(_ given: Case) async throws {
        let rig = try await PlanRig()
        try await rig.rig.engine.ensureServer(name: "other", managementVM: nil)
        let error = try await engineError {
            try await rig.rig.engine.ensurePlan(
                PlanReader.Draft(
                    name: "shop", source: given.source, target: given.target, groups: given.groups, dependsOn: []))
        }
        #expect(error.kind == given.kind)
        #expect(error.message == given.says)
        if let hint = given.hint { #expect(error.hint == hint) }
        #expect(try await rig.rig.vault.read { try $0.objects(RecoveryPlan.self).count } == 0)
    }

    @Test("A change that would close a circle through another plan is refused")
    func circleLater() async throws {
        let rig = try await PlanRig()
        try await rig.plan([PlanGroup(name: "db", vms: ["db"])], name: "infra")
        try await rig.plan([PlanGroup(name: "web", vms: ["web"], dependsOn: ["infra/db"])], name: "shop")
        let error = try await engineError {
            try await rig.plan([PlanGroup(name: "db", vms: ["db"], dependsOn: ["shop/web"])], name: "infra")
        }
        #expect(error.rule == "plan-cycle")
        let gone = try await engineError {
            try await rig.rig.engine.removePlan(rig.rig.engine.plan(named: "infra"))
        }
        #expect(gone.message.contains("plan shop waits for plan infra"))
        try await rig.rig.engine.removePlan(rig.rig.engine.plan(named: "shop"))
        try await rig.rig.engine.removePlan(rig.rig.engine.plan(named: "infra"))
        #expect(try await rig.rig.vault.read { try $0.objects(RecoveryPlan.self).count } == 0)
    }

    @Test("What is exported is imported as an equal plan, and exported as the same text")
    func roundTrip() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan(
            PlanRig.tiers(
                before: ["front": [rig.command("x") { $0.retries = 3 }]],
                extra: [
                    PlanGroup(
                        name: "shutdown", kind: .shutdown,
                        after: [PlanAction(name: "é \"q\"", work: .manual(instructions: "one\n\ttwo \u{7}"))])
                ]))
        let text = try await rig.rig.engine.exportPlan(plan)
        #expect(try await rig.rig.engine.importPlan(text) == plan)
        try await rig.rig.engine.removePlan(plan)
        var imported = try await rig.rig.engine.importPlan(text)
        #expect(try await rig.rig.engine.exportPlan(imported) == text)
        imported.id = plan.id
        #expect(imported == plan)
    }

    @Test(
        "Text that is no plan is refused",
        arguments: [
            ("", "the plan's text is not JSON"), ("{", "the plan's text is not JSON"),
            ("[]", "must be a table with names, got a list"),
            (
                "{\"name\": \"x\", \"source\": \"vmm\", \"groups\": [{\"vms\": \"db\"}]}",
                "groups[1].vms: must be a list, got \"db\""
            ),
        ])
    func notAPlan(_ text: String, _ says: String) async throws {
        let rig = try await Rig()
        let error = try await engineError { try await rig.engine.importPlan(text) }
        #expect(error.kind == .invalid && error.message == says)
    }

    @Test("A function of a script cannot be exported")
    func inline() async throws {
        let rig = try await PlanRig()
        let plan = try await rig.plan([
            PlanGroup(name: "x", vms: ["web"], after: [PlanAction(name: "f", work: .inline(run: "r", number: 1))])
        ])
        let error = try await engineError { _ = try await rig.rig.engine.exportPlan(plan) }
        #expect(error.message.contains("action x.after[1] is a function of a script"))
    }

    /// With PERILUNE_PLAN_VMS=1000 the measured size of the documents; on the fakes that takes minutes.
    @Test("Many VMs in fifty groups are moved by one plan")
    func large() async throws {
        let count = ProcessInfo.processInfo.environment["PERILUNE_PLAN_VMS"].flatMap(Int.init) ?? 200
        let names = (1...count).map { "vm\($0)" }
        let rig = try await Rig(points: 0, vms: names)
        rig.world.state.withLock { $0.looksAtInvariants = false }
        // So many VMs share one clock, which each of their short waits turns: leases must not run out by that.
        var dependencies = rig.engine("planner").dependencies
        dependencies.leaseLifetime = 1_000_000
        let engine = RecoveryEngine(dependencies)
        for name in names { try await rig.protect(name, by: engine) }
        let groups = (0..<50).map { number in
            PlanGroup(name: "g\(number + 1)", vms: Array(names[number * count / 50..<(number + 1) * count / 50]))
        }
        let clock = ContinuousClock()
        func measured<Value>(_ what: String, _ body: () async throws -> Value) async rethrows -> Value {
            let began = clock.now
            let value = try await body()
            print("plan of \(count) VMs in 50 groups: \(what) \(began.duration(to: clock.now))")
            return value
        }
        let plan = try await measured("kept in") {
            try await engine.ensurePlan(
                PlanReader.Draft(name: "all", source: "vmm", target: "vmm", groups: groups, dependsOn: []))
        }
        let text = try await measured("exported in") { try await engine.exportPlan(plan) }
        #expect(try await measured("imported in") { try await engine.importPlan(text) } == plan)
        for operation in [PlanOperation.test, .cleanUpTest, .planned, .commit, .reverse] {
            let report = try await measured("\(operation.rawValue) in") {
                try await engine.run(plan, PlanRunOptions(operation))
            }
            #expect(report.run.state == .succeeded, "\(report.run.failure?.message ?? "")")
            #expect(report.rows.count { $0.step?.state == .done } == count)
        }
        rig.world.state.withLock { $0.looksAtInvariants = true }
        rig.world.change { _ in }
        #expect(rig.world.violations == [])
    }
}
