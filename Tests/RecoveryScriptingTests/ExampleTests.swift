import Foundation
import LuaHost
import RecoveryScripting
import SiteModel
import TestSupport
import Testing
import VaultStore

@Suite("Examples and the standard library")
struct ExampleTests {
    @Test("single-server.lua runs the whole scenario, also a second time on the same sites")
    func singleServer() async throws {
        let bench = Bench()
        let text = try Project.text("examples/single-server.lua")
        for _ in 1...2 {
            let outcome = try await bench.run(text, name: "examples/single-server.lua")
            #expect(outcome.error == nil, "\(outcome.error?.description ?? "")\n\(bench.printed.text)")
            for name in ["vmm01", "orders", "web"] { #expect(bench.world.running(name) == ["a"]) }
        }
        let rows = bench.printed.text.split(separator: "\n").filter {
            $0.contains(/^\w+ +(un)?planned failover +\d/)
        }
        #expect(rows.count == 12, "\(bench.printed.text)")
        let home = rows.filter { $0.contains(#/ planned failover +0 +0.00 s/#) }
        #expect(home.count == 6, "a planned failover loses nothing")
    }

    @Test("single-server.lua notices a guest that came up with less than its recovery point held")
    func lyingPoint() async throws {
        let bench = Bench()
        let text = try Project.text("examples/single-server.lua")
        let spoiling = Task {
            // As soon as the site is lost, every point at the other side loses fifty records.
            while bench.world.running("web") == ["a"] { try await Task.sleep(for: .milliseconds(1)) }
            bench.world.change("b") { site in
                for id in site.points.keys {
                    for index in site.points[id, default: []].indices { site.points[id]?[index].records -= 50 }
                }
            }
        }
        let outcome = try await bench.run(text)
        try await spoiling.value
        #expect(
            outcome.error?.description.contains("came up with") == true, "\(outcome.error?.description ?? "no error")")
    }

    @Test("ten-lines.lua moves one VM to the other site and leaves it protected")
    func tenLines() async throws {
        let bench = Bench()
        try await bench.run(
            Bench.setUp + "vault:host('host-a'):vm('vmm01'):replicate { to = vault:host('host-b'), policy = fast }")
        let outcome = try await bench.run(Project.text("examples/ten-lines.lua"), grants: [])
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(bench.world.running("web") == ["b"])
        #expect(bench.printed.text.contains("web runs at site b with all 100 records"))
    }

    @Test("two-servers.lua pairs the clouds of two servers, tests a VM and moves it, and moves it home when run again")
    func twoServers() async throws {
        let bench = Bench()
        let text = try Project.text("examples/two-servers.lua")
        for site in ["b", "a"] {
            let outcome = try await bench.run(text, name: "examples/two-servers.lua")
            #expect(outcome.error == nil, "\(outcome.error?.description ?? "")\n\(bench.printed.text)")
            #expect(bench.world.running("web") == [site])
        }
        #expect(bench.printed.all.count { $0.contains(/^web\S+ runs from point \d+$/) } == 2, "both were tested before")
        let shape = try await bench.run(
            """
            local gold = recovery.vault():server("vmm-a"):cloud("gold")
            local web = gold:vm("web"):item()
            return gold.paired_with == recovery.vault():server("vmm-b"):cloud("silver"), web.state, web.target.site,
              #recovery.vault():servers(), recovery.vault():settings().goal
            """)
        #expect(shape.values == [true, "protected", "b", 2, "two-servers"], "\(shape)")
    }

    @Test("one-server-two-clouds.lua protects all of a cloud, and the server below it; a second run changes nothing")
    func oneServerTwoClouds() async throws {
        let bench = Bench()
        let text = try Project.text("examples/one-server-two-clouds.lua")
        for _ in 1...2 {
            let outcome = try await bench.run(text, name: "examples/one-server-two-clouds.lua")
            #expect(outcome.error == nil, "\(outcome.error?.description ?? "")\n\(bench.printed.text)")
        }
        let rows = bench.printed.all.flatMap { $0.split(separator: "\n") }.filter { $0.contains(" protected ") }
        #expect(rows.count == 6, "\(bench.printed.text)")
        #expect(rows.allSatisfy { $0.contains("nothing-to-reverse") })
        let shape = try await bench.run(
            """
            local vault, names = recovery.vault(), {}
            for index, item in ipairs(vault:items()) do names[index] = item.name end
            return table.concat(names, " "), #vault:relationships(), vault:replicated("vmm01").state
            """)
        #expect(shape.values == ["orders web", 1, "protected"], "\(shape)")
    }

    @Test("planned-migration.lua takes a VM to the other site and home again, and loses nothing")
    func plannedMigration() async throws {
        let bench = Bench()
        try await bench.run(Project.text("examples/one-server-two-clouds.lua"))
        let outcome = try await bench.run(
            Project.text("examples/planned-migration.lua"), grants: [.lab], name: "examples/planned-migration.lua")
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")\n\(bench.printed.text)")
        #expect(bench.world.running("web") == ["a"])
        let text = bench.printed.text
        #expect(text.contains("it runs at site b with all") && text.contains("it runs at site a with all"), "\(text)")
    }

    @Test(
        "planned-migration.lua ends before the move where that would be refused or would lose something",
        arguments: [
            ("vault:replicated('web'):pause()", "sync: ", "a"),
            ("vault:replicated('web'):test_failover { keep = true }", "planned-failover: While a test VM exists", "a"),
            ("vault:replicated('web'):failover { kind = 'planned' }", "sync: ", "b"),
        ])
    func plannedMigrationRefused(situation: String, says: String, site: String) async throws {
        let bench = Bench()
        try await bench.run(Project.text("examples/one-server-two-clouds.lua"))
        try await bench.run("local vault = recovery.vault() " + situation)
        let error = try await bench.failure(of: Project.text("examples/planned-migration.lua"))
        #expect(error?.message.contains(says) == true, "\(error?.description ?? "no error")")
        #expect(bench.world.running("web") == [site])
        #expect(!bench.printed.text.contains("it runs at site"))
    }

    @Test("The README names every example", arguments: try Project.files(in: "examples"))
    func listed(file: String) throws {
        #expect(try Project.text("README.md").contains("(\(file))"), "README.md does not name \(file)")
    }

    @Test(
        "Every Lua file of the project is Lua",
        arguments: try Project.files(in: "stdlib") + Project.files(in: "examples"))
    func syntax(file: String) async throws {
        try await LuaState().check(Project.text(file), chunk: file)
    }

    @Test(
        "luacheck has nothing to say", .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/luacheck")))
    func luacheck() throws {
        let result = try Program.run(
            ["/usr/bin/luacheck", "--no-color", "--quiet", "stdlib", "examples"], in: Project.path("."))
        #expect(result.status == 0, "\(result.output)")
    }

    // MARK: The standard library

    @Test("health.until_ tries again while the error may pass, and gives what the check returned")
    func untilWell() async throws {
        let outcome = try await Bench().run(
            """
            local health = require "health"
            local tries = 0
            return health.until_(function()
              tries = tries + 1
              if tries == 1 then error(setmetatable({ retryable = true }, { __tostring = function() return "not yet" end })) end
              return tries == 3 and "well after " .. tries
            end, { every = "1ms", within = "1h" })
            """)
        #expect(outcome.error == nil, "\(outcome.error?.description ?? "")")
        #expect(outcome.values == ["well after 3"])
    }

    @Test("health.until_ ends in time and says what the last attempt said")
    func untilTooLate() async throws {
        let outcome = try await Bench().run(
            """
            local health = require "health"
            local ok, e = pcall(health.until_, function()
              error(setmetatable({ retryable = true }, { __tostring = function() return "no answer" end }))
            end, { within = "2s", every = "100ms", what = "web" })
            return ok, e.kind, tostring(e)
            """)
        #expect(
            outcome.values == [false, "timeout", "web: not well within 2s (the last attempt said: no answer)"],
            "\(outcome)")
    }

    @Test("health.until_ does not hide a mistake")
    func untilMistake() async throws {
        let error = try #require(
            try await Bench().failure(of: "require('health').until_(function() return nil + 1 end, { within = '1h' })"))
        #expect(error.description.contains("arithmetic on a nil value"), "\(error)")
    }

    @Test("health refuses an option that it does not know")
    func unknownOption() async throws {
        let error = try #require(try await Bench().failure(of: "require('health').until_(print, { witin = '1h' })"))
        #expect(
            error.message.contains("health.until_ has no option 'witin'; it takes: every, what, within"), "\(error)")
    }

    @Test("health.http waits until the guest answers")
    func http() async throws {
        let bench = Bench()
        let outcome = try await bench.run(
            Bench.setUp + """
                local health = require "health"
                local vm = gold:vm("web")
                local reply = health.http { vm = vm, host = "10.77.0.12", within = "5s" }
                local ok, e = pcall(health.http, { vm = vm, host = "10.77.0.99", within = "3s" })
                return reply.host, reply.boot_records, ok, e.kind, e.message
                """)
        #expect(
            outcome.values == ["web", 100, false, "timeout", "web at 10.77.0.99:80: not well within 3s"], "\(outcome)")
    }

    @Test("report.table aligns text left and figures right")
    func reportTable() async throws {
        let outcome = try await Bench().run(
            """
            local report = require "report"
            return report.table({ "VM", "lost" }, { { "orders", 7 }, { "web", 1200 } }),
              report.seconds(0.42), report.seconds(75.25), report.seconds(185), report.bytes(512), report.bytes(1.5 * 2^20)
            """)
        #expect(
            outcome.values == [
                "VM      lost\n------  ----\norders     7\nweb     1200", "0.42 s", "75.2 s", "3 min 05 s", "512 B",
                "1.5 MiB",
            ], "\(outcome)")
    }
}
