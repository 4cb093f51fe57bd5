import BlockReplication
import LuaHost
import RecoveryEngine
import RecoveryScripting
import SiteModel
import Simulation
import Testing
import VaultStore

@testable import Rehearsal

@Suite("A plan says what a script would do, and does none of it")
struct PlanTests {
    private static let now = Timestamp(milliseconds: 1_800_000_000_000)

    private static let site = (try? Stage.text("simulated-lab.json")) ?? ""
    private static let setUp = (try? Stage.text("careless-site.lua")) ?? ""
    private static let vm = "local vm <const> = recovery.vault():server('vmm01'):cloud('gold'):vm('web'):item()"

    private func request(_ text: String, setUp: String? = nil, vault: (any Vault)? = nil) -> Planner.Request {
        var request = Planner.Request(
            site: Self.site, vault: vault, script: .init(name: "x.lua", text: text),
            options: ScriptOptions(standardLibrary: "\(Stage.root)/stdlib", grants: [.lab, .hosts]), now: Self.now)
        request.setUp = setUp.map { .init(name: "set-up.lua", text: $0) }
        return request
    }

    private func plan(_ text: String, setUp: String? = Self.setUp) async throws -> ScriptPlan {
        try await Planner(request(text, setUp: setUp)).plan()
    }

    @Test("The path: each change with what it changes, from where it is called")
    func path() async throws {
        let plan = try await plan("\(Self.vm)\nvm:failover { kind = 'planned' }\nvm:commit()")
        #expect(plan.failure == nil && plan.succeeded)
        let changes = plan.steps.filter(\.changes)
        #expect(changes.map(\.function) == ["item:failover", "item:commit"])
        #expect(changes.first?.object == "web" && changes.first?.arguments.contains("kind = \"planned\"") == true)
        #expect(changes.first?.position?.hasPrefix("x.lua:") == true)
        let effects = changes.first?.effects.joined() ?? ""
        #expect(effects.contains("web: runs at host-a") && effects.contains("runs at host-b"))
        #expect(changes[1].expectedAtSeconds >= changes[0].expectedSeconds)
        #expect(plan.losses.map(\.vm).contains("web"))
    }

    @Test("A rule that would refuse is named, with what to do instead")
    func refused() async throws {
        let plan = try await plan("\(Self.vm)\nvm:failover { kind = 'planned' }\nvm:reverse()")
        #expect(plan.failure?.rule == "commit-before-reverse" && !plan.succeeded)
        let refused = try #require(plan.steps.first { $0.failure != nil })
        #expect(refused.function == "item:reverse" && refused.failure?.hint != nil)
    }

    @Test("Programs, web servers and people are not asked: what is taken for their answers is listed")
    func assumed() async throws {
        let plan = try await plan(
            """
            local result = exec { "/bin/false" }
            assert(result.status == 0)
            assert(http.get("http://127.0.0.1:1/").status == 200)
            print(recovery.ask { question = "Go on?", choices = { "yes", "no" } })
            """)
        #expect(plan.failure == nil, "\(plan.failure?.message ?? "")")
        #expect(plan.output.first?.hasPrefix("yes") == true)
        #expect(plan.steps.filter { $0.assumed != nil }.map(\.function).count == 3)
        #expect(plan.questions.map(\.question) == ["Go on?"])
        #expect(plan.assumptions.count == 3)
    }

    @Test("Answers that are given lead the script their way")
    func answered() async throws {
        var request = request("print(recovery.ask { question = 'Go on?', choices = { 'yes', 'no' } })")
        request.answers = ["Go on?": "no"]
        let plan = try await Planner(request).plan()
        #expect(plan.output.first?.hasPrefix("no") == true)
    }

    @Test("On a vault's copy: its points, its history, and not one change of it")
    func ofAVault() async throws {
        let vault = MemoryVault()
        let world = try SiteFile(json: Self.site).makeWorld(startingAt: Self.now.advanced(bySeconds: -3600))
        try await world.run {
            let engine = RecoveryEngine(world.dependencies(vault: vault, holder: "before"))
            for host in world.hosts { try await engine.ensureHost(host) }
            let outcome = try await ScriptRunner(
                engine: engine,
                options: ScriptOptions(
                    standardLibrary: "\(Stage.root)/stdlib", grants: [.lab, .hosts],
                    labPower: SimulatedLab(world: world))
            ).run(text: Self.setUp + "\n\(Self.vm)\nfor _ = 1, 3 do vm:sync() end", name: "before.lua") { _ in }
            #expect(outcome.succeeded, "\(String(describing: outcome.error))")
        }
        let before = try await vault.read { try $0.changeNumber() }
        let plan = try await Planner(
            request("\(Self.vm)\nvm:sync()\nvm:failover { kind = 'planned' }\nvm:commit()\nvm:reverse()", vault: vault)
        ).plan()
        #expect(plan.failure == nil, "\(plan.failure?.message ?? "") \(plan.assumptions)")
        #expect(plan.violations == [])
        #expect(plan.steps.first { $0.function == "item:sync" }?.expectation == .vmHistory)
        #expect(plan.steps.first { $0.function == "item:failover" }?.expectation == .simulated)
        let loss = try #require(plan.losses.first { $0.vm == "web" })
        #expect(loss.seconds ?? 0 > 60 && loss.allowedSeconds != nil)
        #expect(try await vault.read { try $0.changeNumber() } == before)
    }

    @Test("A network that is mapped nowhere is named before anything is begun")
    func missing() async throws {
        let unmapped = Self.setUp.replacing("gold:map_network { from = \"gold-net\", to = \"silver-net\" }", with: "")
        #expect(unmapped != Self.setUp)
        let plan = try await plan("\(Self.vm)\nvm:sync()", setUp: unmapped)
        #expect(plan.missing.contains { $0.object == "web" && $0.check == "vm-network-mapped" && $0.fix != nil })
        #expect(try await self.plan("\(Self.vm)\nvm:sync()").missing == [])
    }

    @Test("After a reversal the plan goes the other way, with the points that are there")
    func afterReversal() async throws {
        let plan = try await plan(
            "\(Self.vm)\nvm:sync()\nvm:failover { kind = 'planned' }",
            setUp: Self.setUp + "\n\(Self.vm)\nvm:failover { kind = 'planned' }\nvm:commit()\nvm:reverse()")
        #expect(plan.failure == nil && plan.violations == [])
        #expect(plan.steps.contains { $0.effects.contains { $0.contains("-> runs at host-a") } })
    }

    @Test("A site that is taken for lost: the planned failover is refused, the unplanned one goes through")
    func lost() async throws {
        var request = request("\(Self.vm)\nvm:failover { kind = 'planned' }", setUp: Self.setUp)
        request.lost = ["a"]
        #expect(try await Planner(request).plan().failure != nil)
        request.script.text = "\(Self.vm)\nvm:failover { kind = 'unplanned', source = 'declared lost' }"
        let plan = try await Planner(request).plan()
        #expect(plan.failure == nil, "\(plan.failure?.message ?? "")")
    }
}
