import Foundation
import LuaHost
import RecoveryEngine
import SiteModel
import TestSupport
import Testing

@testable import RecoveryScripting

@Suite("Plans in scripts")
struct PlanScriptTests {
    private static let protected =
        Bench.setUp + """
            for _, name in ipairs { "orders", "web" } do gold:vm(name):protect() gold:vm(name):item():sync() end

            """
    private static let shop =
        protected + """
            local shop = vault:plan {
              name = "shop", source = vmm,
              groups = {
                { name = "database", vms = { gold:vm("orders") } },
                { name = "front", vms = { "web" }, before = { { wait = "10ms" } } },
              },
            }

            """

    @Test("three-tier.lua tests a plan, moves it, and moves it home when it is run again")
    func threeTier() async throws {
        let bench = Bench(world: FakeWorld(more: ["middle"]))
        try await bench.run(
            Bench.setUp + "vault:host('host-a'):vm('vmm01'):replicate { to = vault:host('host-b'), policy = fast }")
        let text = try Project.text("examples/three-tier.lua")
        for (site, direction) in [("b", "primary-to-recovery"), ("a", "recovery-to-primary")] {
            let outcome = try await bench.run(text, name: "examples/three-tier.lua")
            #expect(outcome.error == nil, "\(outcome.error?.description ?? "")\n\(bench.printed.text)")
            for name in ["orders", "middle", "web"] { #expect(bench.world.running(name) == [site]) }
            #expect(bench.printed.text.contains("planned, \(direction): succeeded"))
        }
        let calls = bench.printed.all.filter { $0.hasPrefix("  after ") }
        #expect(
            calls.prefix(4) == [
                "  after database: orders at host-a", "  after middle: middle at host-a",
                "  after front: web at host-a",
                "  after front: web at host-a",
            ], "the test's three, and what follows its clean-up")
        #expect(calls.count == 14)
    }

    @Test("A plan is a tree as text, and comes back from its file")
    func text() async throws {
        let outcome = try await Bench().run(
            Self.shop + """
                local text = shop:export()
                shop:remove()
                local again = vault:import_plan(text)
                return tostring(shop) == shop:tree(), again:export() == text, again == vault:plan("shop"), again:tree(),
                  #vault:plans(), again.source.name, table.concat(again.vms, " ")
                """)
        #expect(outcome.error == nil, "\(outcome)")
        #expect(
            outcome.values == [
                true, true, true,
                "shop: vmm01 -> vmm01, 2 VMs\n├─ database\n│  └─ orders\n└─ front\n   ├─ before: wait 0.01 s\n   └─ web",
                1, "vmm01", "orders web",
            ])
    }

    @Test("A whole plan fails over, commits, reverses and comes back, and says what was lost")
    func whole() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Self.shop + """
                local own = vault:host("host-a"):vm("vmm01"):replicate { to = vault:host("host-b"), policy = fast }
                lab.lose("a")
                own:failover { kind = "unplanned", source = "declared lost" }
                local result = shop:failover { kind = "unplanned", source = "declared lost" }
                lab.restore("a")
                own:commit() own:reverse() own:failover { kind = "planned" } own:commit() own:reverse()
                shop:commit()
                shop:reverse()
                local back = shop:failover { kind = "planned" }
                return result.state, result.vms[1].owner, result.vms[2].loss > 0, back.direction, back.vms[2].loss,
                  #back.vms[1].stages > 3, shop:last().id == back.id
                """)
        #expect(outcome.error == nil, "\(outcome)")
        #expect(outcome.values == ["succeeded", "host-b", true, "recovery-to-primary", 0.0, true, true])
        #expect(bench.world.running("web") == ["a"])
    }

    @Test(
        "What is wrong with a plan is said with its field",
        arguments: [
            ("{ name = 'p', source = vmm, groups = { { vm = { 'web' } } } }", "groups[1]: has no field 'vm'"),
            ("{ name = 'p', source = vmm, groups = { { vms = { 'wbe' } } } }", "wbe is not a protected item"),
            ("{ name = 'p', source = vmm, groups = { { vms = { 'web' } }, { vms = { 'web' } } } }", "web is in groups"),
            (
                "{ name = 'p', source = vmm, groups = { { name = 'a', vms = { 'web' }, depends_on = { 'a' } } } }",
                "p/a -> p/a"
            ),
            (
                "{ name = 'p', source = vmm, groups = { { vms = { 'web' }, after = { { call = 'x' } } } } }",
                "after[1].call"
            ),
            ("{ name = 'p', source = vmm }", "'groups' is missing"),
            ("{ name = 'p', source = vmm, group = {} }", "has no option 'group'"),
            ("'shpo'", "the vault has no plan 'shpo'"),
        ])
    func wrong(_ argument: String, _ says: String) async throws {
        let error = try #require(try await Bench().failure(of: Self.protected + "vault:plan(\(argument))"))
        #expect(error.description.contains(says), "\(error)")
    }

    @Test("A module's function is called with the context, and its output is kept")
    func moduleFunction() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let actions = """
            local actions = {}
            function actions.tell(context)
              print(context.operation .. " " .. context.vms[1].name)
              return recovery.vault():plan(context.plan).vms[2]
            end
            function actions.fail(context) print("before") error("no zone for " .. context.group) end
            return actions
            """
        try scratch.put(actions, at: "actions.lua")
        let bench = Bench()
        var options = bench.options()
        options.libraryPaths = [scratch.path]
        let outcome = try await ScriptRunner(engine: bench.engine, options: options).run(
            text: Self.protected + """
                local plan = vault:plan { name = "p", source = vmm, groups = {
                  { name = "all", vms = { "orders", "web" }, before = { { call = "actions.tell" }, { call = "actions.fail", critical = false },
                    { call = "actions.nothing", critical = false } } } } }
                local result = plan:test()
                return result.actions[1].output, result.actions[2].outcome, result.actions[2].output, result.actions[2].detail,
                  result.actions[3].detail, result.state
                """, name: "test.lua"
        ) { _ in }
        #expect(outcome.error == nil, "\(outcome)")
        #expect(outcome.values.first == "test orders\nweb", "\(outcome)")
        #expect(outcome.values.dropFirst().first == "failed")
        #expect(outcome.values[2].text?.hasPrefix("before\n") == true)
        #expect(outcome.values[3].text?.contains("no zone for all") == true)
        #expect(outcome.values[4].text?.contains("module 'actions' has no function 'nothing'") == true)
        #expect(outcome.values[5] == "succeeded")
    }

    @Test("A function of the script is called while plans.run waits, and its error stops a planned failover")
    func inlineFunctions() async throws {
        let outcome = try await Bench().run(
            Self.protected + """
                local plans, seen = require "plans", {}
                local plan = plans.make(vault, { name = "p", source = vmm, groups = {
                  { name = "one", vms = { "orders" }, after = { function(context) seen[#seen + 1] = context.group return "fine" end } },
                  { name = "two", vms = { "web" }, before = { { name = "bad", function() error("not today") end } } },
                } })
                local ok, e = pcall(plans.run, plan, "failover", { kind = "planned" })
                local direct, why = pcall(plan.failover, plan, { kind = "planned" })
                return ok, e.kind, e.message, e.value.actions[1].output, seen[1], direct, why.message
                """)
        #expect(outcome.error == nil, "\(outcome)")
        #expect(Array(outcome.values.prefix(2)) == [false, "plan-stopped"], "\(outcome)")
        #expect(outcome.values[2].text?.contains("not today") == true)
        #expect(Array(outcome.values[3...5]) == ["fine", "one", false])
        #expect(outcome.values[6].text?.contains("does not serve its functions") == true)
    }

    @Test("What is incomplete raises an error that holds the whole result")
    func incomplete() async throws {
        let outcome = try await Bench().run(
            Self.shop + """
                gold:vm("orders"):item():test_failover()
                local ok, e = pcall(shop.failover, shop, { kind = "unplanned" })
                return ok, e.kind, e.value.vms[1].outcome, e.value.vms[2].outcome, e.value.vms[2].owner
                """)
        #expect(outcome.values == [false, "plan-incomplete", "failed", "done", "host-b"], "\(outcome)")
    }
}
