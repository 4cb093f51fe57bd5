import LuaHost
import RecoveryEngine
import SiteModel
import Testing
import VaultStore

@testable import RecoveryScripting

@Suite("Scripts over an engine")
struct SessionTests {
    @Test("A run is recorded with its text and outcome, and its id goes with every job")
    func record() async throws {
        let bench = Bench()
        let text = Bench.setUp + "gold:vm('web'):protect() return 42"
        let outcome = try await bench.run(text)
        #expect(outcome.error == nil && outcome.values == [42])
        let run = try #require(try await bench.engine.vault.read { try $0.object(Run.self, id: outcome.id)?.value })
        #expect(run.text == text && run.script == "test.lua" && run.outcome == "succeeded" && run.endedAt != nil)
        let jobs = try await bench.engine.vault.read { try $0.objects(Job.self).map(\.value) }
        #expect(jobs.count == 1 && jobs.allSatisfy { $0.run == outcome.id })
    }

    @Test("An error of the script is the outcome, with its position, and is recorded")
    func failure() async throws {
        let bench = Bench()
        let outcome = try await bench.run("local x = 1\nrecovery.vault():host('nowhere')")
        let error = try #require(outcome.error)
        #expect(error.kind == "unknown" && error.where == SourcePosition(chunk: "test.lua", line: 2))
        let run = try await bench.engine.vault.read { try $0.object(Run.self, id: outcome.id)?.value }
        #expect(run?.outcome == error.description)
    }

    @Test(
        "Registering twice changes nothing; looking up an unknown name says the nearest",
        arguments: [
            ("vault:host('host-c')", "'host-a'"), ("vault:server('vmm1')", "'vmm01'"), ("vmm:cloud('gld')", "'gold'"),
            ("gold:vm('ordres')", "'orders'"), ("vault:policy('fats')", "'fast'"),
            ("gold:map_network { from = 'gold-nte', to = 'silver-net' }", "'gold-net'"),
        ])
    func lookups(expression: String, nearest: String) async throws {
        let bench = Bench()
        try await bench.run(Bench.setUp)
        let error = try #require(try await bench.failure(of: Bench.setUp + expression))
        #expect(error.kind == "unknown" && error.hint?.contains(nearest) == true, "\(error)")
        let hosts = try await bench.engine.vault.read { try $0.objects(Host.self).map(\.revision) }
        #expect(hosts == [1, 1])
    }

    @Test("A name alone looks a server up, also in a table: a slip in it makes no server")
    func slipInAName() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                assert(vault:server { name = "vmm01" } == vault:server("vmm01"))
                vault:server { name = "vm01" }
                """)
        let error = try #require(outcome.error)
        #expect(error.kind == "unknown" && error.hint?.contains("did you mean 'vmm01'?") == true, "\(error)")
        #expect(error.hint?.contains("version") == true)
        #expect(try await bench.engine.vault.read { try $0.objects(Server.self).map(\.value.name) } == ["vmm01"])
    }

    @Test("What is left out of a registration stays as it is")
    func registration() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                vault:server { name = "vmm01" }
                vault:policy { name = "fast", copy_frequency = "5min" }
                vault:host { name = "host-a", site = "a", uri = "fake:///a", agent = "/run/a.sock", address = "a:7731",
                  store = "/points" }
                return vmm.vm, fast.recovery_points, fast.copy_frequency
                """)
        #expect(outcome.values == ["vmm01", 4, 300], "\(outcome)")
        let host = try await bench.engine.vault.read { try $0.object(Host.self, named: "host-a", parent: nil)?.value }
        #expect(host?.fence == ["/bin/fence", "a"])
    }

    @Test("A policy that wants certificates sends to no agent without")
    func certificates() async throws {
        let error = try #require(
            try await Bench().failure(
                of: Bench.setUp + """
                    assert(vault:policy({ name = "fast", authentication = "certificate" }).authentication == "certificate")
                    gold:vm("web"):protect()
                    """))
        #expect("\(error)".contains("wants certificates"), "\(error)")
    }

    @Test("A VM's replication is found by its name, whichever layer it belongs to")
    func replicated() async throws {
        let outcome = try await Bench().run(
            Bench.setUp + """
                gold:vm("web"):protect()
                vault:host("host-a"):vm("vmm01"):replicate { to = vault:host("host-b"), policy = fast }
                assert(#vault:items() == 1 and #vault:relationships() == 1)
                assert(tostring(vault:replicated("web")) == "item<web, protected>")
                assert(tostring(vault:replicated("vmm01")) == "relationship<vmm01, protected>")
                vault:replicated("wbe")
                """)
        #expect(outcome.error?.hint == "did you mean 'web'?", "\(outcome)")
    }

    @Test(
        "What an API call says no to is an error object with kind, rule and hint",
        arguments: [
            ("gold:vm('web'):failover { kind = 'planed' }", "argument", nil),
            ("gold:vm('web'):failover { kind = 'planned', source = 'fence' }", "argument", nil),
            ("gold:vm('web'):failover { kind = 'unplanned', point = { at = 3 } }", "argument", nil),
            ("gold:vm('web'):change_point { point = 9 }", "refused", "change-point-after-failover"),
            ("gold:vm('web'):protect()", "refused", "already-protected"),
            ("gold:vm('vmm01'):protect()", "refused", "management-vm-outside-clouds"),
            ("gold:vm('orders'):sync()", "refused", "not-protected"),
            ("silver:pair { with = gold, policy = fast }", "refused", "one-pair-per-cloud"),
            ("vault:policy { name = 'odd', copy_frequency = '31s' }", "invalid", nil),
            ("vault:policy { name = 'a/b' }", "argument", nil),
            ("vault:policy { name = 'odd', app_consistent = '90min' }", "argument", nil),
            ("gold:vm('web'):probe { host = '10.77.0.12', path = 'x' }", "argument", nil),
            ("gold:vm('web'):probe { host = '10.77.0.99' }", "no-answer", nil),
            ("gold:vm('web'):item().nmae = 3", nil, nil),
            ("exec { 'true' }", "not-granted", nil),
        ] as [(String, String?, String?)])
    func refusals(statement: String, kind: String?, rule: String?) async throws {
        let bench = Bench()
        let error = try await bench.failure(of: Bench.setUp + "gold:vm('web'):protect()\n" + statement)
        let found = try #require(error, "\(statement) was not refused")
        if let kind { #expect(found.kind.rawValue == kind, "\(found)") }
        #expect(found.rule == rule, "\(found)")
    }

    @Test("A refused operation changes nothing")
    func refusalChangesNothing() async throws {
        let bench = Bench()
        try await bench.run(Bench.setUp + "gold:vm('web'):protect()")
        let before = try await bench.engine.vault.read { try $0.objects(Relationship.self) }
        _ = try await bench.failure(of: "recovery.vault():items()[1]:reverse()")
        #expect(try await bench.engine.vault.read { try $0.objects(Relationship.self) } == before)
    }

    @Test("The lab is for runs that were granted it")
    func grants() async throws {
        let error = try #require(try await Bench().failure(of: "lab.lose('a')", grants: []))
        #expect(error.kind == .notGranted && error.hint?.hasPrefix("run it with --grant lab") == true)
        #expect(error.message == "lab.lose: 'lab' is not granted to this run")
    }

    @Test("Where hosts are and how they are fenced is for runs that were granted it; saying it again is for any")
    func hostsAreGranted() async throws {
        let bench = Bench()
        let error = try #require(try await bench.failure(of: Bench.setUp, grants: [.lab]))
        #expect(error.kind == .notGranted && error.hint?.hasPrefix("run it with --grant hosts") == true)
        #expect(try await bench.engine.vault.read { try $0.objects(Host.self) }.isEmpty)
        #expect(try await bench.failure(of: Bench.setUp) == nil)
        #expect(try await bench.failure(of: Bench.setUp, grants: [.lab]) == nil)
        let changed = """
            recovery.vault():host { name = "host-a", site = "a", uri = "fake:///a", agent = "/run/a.sock", address = "a:7731",
              store = "/points", fence = { "/bin/sh", "-c", "id" } }
            """
        #expect(try await bench.failure(of: changed, grants: [])?.kind == .notGranted)
    }

    @Test("Fields are read from the vault each time")
    func fields() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                local vm = gold:vm("web")
                assert(vm:item() == nil and vm:relationship() == nil and vm.state == "running")
                local item = vm:protect()
                assert(item == vm:item() and item.state == "protected" and item.name == "web")
                assert(item.owner == vault:host("host-a") and item.source == item.owner)
                assert(item.target.site == "b" and item.epoch == 1 and item.policy.copy_frequency == 30)
                assert(item.cloud == gold and gold.paired_with == silver and gold.policy == fast)
                assert(item.newest_point.kind == "initial" and #item:points() == 1)
                local job = item:sync()
                assert(job.operation == "sync" and job.point == 2 and job.bytes == 4096 and #job.stages == 2)
                assert(job.stages[1].name == "copy" and job.took >= 0 and job.at == item.newest_point.at)
                item:failover { kind = "planned" }
                assert(item.state == "failed-over" and item.owner.name == "host-b" and vm.host.site == "b")
                assert(vm.state == "running" and silver:vm("web").uuid == vm.uuid)
                assert(#gold:vms() == 1 and #silver:vms() == 1, "a VM is in the cloud of its owner")
                return tostring(item), tostring(vm), tostring(gold)
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(outcome.values == ["item<web, failed-over>", "vm<web, failed-over>", "cloud<gold>"])
    }

    @Test("Which operations come next, and why not the others, is asked of the same rules")
    func verdicts() async throws {
        let outcome = try await Bench().run(
            Bench.setUp + """
                local item = gold:vm("web"):protect()
                local allowed, why = item:can("reverse")
                assert(allowed == false and why.rule == "nothing-to-reverse" and #why.hint > 0)
                assert(item:can("sync") == true and item:can("planned_failover") == true)
                local next = item:next()
                local all = #next.allowed + #next.refused
                return all, table.concat(next.allowed, " ")
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(outcome.values.first?.integer == Int64(Operation.allCases.count))
        #expect(outcome.values.last?.text?.contains("planned-failover") == true)
    }

    @Test("Whether an operation may begin is asked of what it would be given, and what comes next says what it needs")
    func wordNeeded() async throws {
        let outcome = try await Bench().run(
            Bench.setUp + """
                local item = gold:vm("web"):protect()
                item:failover { kind = "unplanned" }
                assert(item:can("undo") == true and #item:next().steps[1].needs == 0)
                lab.lose("b")
                local allowed, why = item:can("undo")
                assert(allowed == false and why.rule == "target-must-be-down" and why.hint:find("declared lost"))
                assert(item:can("undo", { target = "declared lost" }) == true)
                local next = item:next()
                assert(next.steps[1].operation == "undo" and next.steps[1].needs[1] == "target")
                return item:undo({ target = "declared lost" }).operation
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(outcome.values.first?.text == "undo")
    }

    @Test("An operation whose task is cancelled goes on, and is over when the run ends")
    func detached() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                local item = gold:vm("web"):protect()
                task.race { function() item:sync() end, function() end }
                return item.name
                """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        let jobs = try await bench.engine.vault.read { try $0.objects(Job.self).map(\.value) }
        #expect(jobs.filter { $0.operation == .sync }.allSatisfy { $0.state == .succeeded })
        #expect(try await bench.engine.vault.read { try $0.openJobs() }.isEmpty)
    }

    @Test("JSON that a guest speaks becomes Lua data")
    func json() {
        #expect(
            JSONText.decode(#" {"a":1,"b":[true,null,2.5],"c":{"d":"x"},"e":null} "#)
                == .table(LuaTable(["a": 1, "b": [true, .nil, 2.5], "c": ["d": "x"]])))
        #expect(JSONText.decode("hello") == nil && JSONText.decode("{broken") == nil && JSONText.decode("12") == nil)
    }

    @Test("help explains functions, objects and names, and guesses what was meant")
    func help() async throws {
        let bench = Bench()
        let error = try await bench.failure(
            of: "help() help(recovery.log) help('vault:host') help(recovery.vault()) help('vualt')")
        #expect(error?.kind == .undefined && error?.hint == "did you mean \"vault\"?", "\(error?.description ?? "")")
        #expect(bench.printed.all.contains("recovery.log(text)"))
        #expect(bench.printed.all.contains { $0.hasPrefix("vault:host{name=, site=") })
        #expect(bench.printed.all.contains("vault:host(name)"))
    }
}

@Suite("An interactive session")
struct ReplTests {
    @Test("Globals live from entry to entry, and all of it is one run")
    func entries() async throws {
        let bench = Bench()
        let printed = bench.printed
        let session = try await ReplSession.start(engine: bench.engine, options: bench.options()) { printed.append($0) }
        guard case .printed(let first) = try await session.evaluate("x = 6 * 7") else {
            Issue.record("a statement was not evaluated")
            return
        }
        #expect(first.isEmpty)
        guard case .printed(let second) = try await session.evaluate("x") else {
            Issue.record("an expression was not evaluated")
            return
        }
        #expect(second == ["42"])
        guard case .incomplete = try await session.evaluate("for i = 1, 3 do") else {
            Issue.record("an open loop was not seen as incomplete")
            return
        }
        guard case .failed(let error) = try await session.evaluate("recovery.vault():host('nowhere')") else {
            Issue.record("an unknown host was found")
            return
        }
        #expect(error.kind == "unknown")
        _ = try await session.evaluate("print('hello')")
        #expect(bench.printed.all == ["hello"])
        try await session.end()
        let run = try await bench.engine.vault.read { try $0.objects(Run.self).first?.value }
        #expect(run?.text == "x = 6 * 7\nx\nrecovery.vault():host('nowhere')\nprint('hello')\n")
        #expect(run?.outcome == "succeeded")
    }
}
