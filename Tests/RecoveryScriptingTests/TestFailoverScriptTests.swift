import Foundation
import LuaHost
import RecoveryEngine
import SiteModel
import Synchronization
import Testing
import VaultStore

@testable import RecoveryScripting

@Suite("Test failover in scripts")
struct TestFailoverScriptTests {
    private func bench() async throws -> Bench {
        let bench = Bench()
        let prepared = try await bench.run(Situation.protected.preparation)
        try #require(prepared.error == nil, "\(prepared)")
        return bench
    }

    private func relationship(_ bench: Bench) async throws -> Relationship {
        try #require(
            try await bench.engine.vault.read { try $0.object(Relationship.self, named: "orders", parent: nil)?.value })
    }

    private func run(_ bench: Bench, _ text: String) async throws -> RunOutcome {
        try await bench.run("\(Situation.protected.names)\n\(text)")
    }

    /// VMs and networks at site b that are there for tests.
    private func traces(_ bench: Bench) -> [String] {
        bench.world.sites.withLock { sites in
            let site = sites["b"]
            return (site?.guests.values.map(\.name).filter { $0.hasSuffix("-test") } ?? [])
                + (site?.made.keys.sorted() ?? [])
        }
    }

    @Test(
        "A test ends with its script, whether that ends well or not; a kept one does not",
        arguments: [
            ("", false), ("error('no')", false), ("while true do end", false), ("", true),
        ])
    func endsWithTheRun(end: String, keep: Bool) async throws {
        let bench = try await bench()
        _ = try await run(bench, "item:test_failover { network = 'create', keep = \(keep) }\n\(end)")
        let after = try await relationship(bench)
        #expect(traces(bench).isEmpty == !keep)
        #expect(after.state == (keep ? .testing : .protected))
        if !keep { #expect(after.lastTest?.end == .runEnded && after.lastTest?.passed == true) }
        let leases = try await bench.engine.vault.read { vault in
            try vault.objects(Run.self).compactMap { try vault.lease(RecoveryEngine.runLeaseName($0.value.id)) }
        }
        #expect(leases.allSatisfy { $0.expiresAt <= bench.engine.dependencies.clock.now } || leases.isEmpty)
    }

    @Test("The job of a test says where the copy is, and the clean-up whether it passed")
    func job() async throws {
        let bench = try await bench()
        let outcome = try await run(
            bench,
            """
            item:set_nic { index = 1, test = { mode = "static", address = "10.9.8.21", prefix = 24 } }
            local test = item:test_failover { network = "create", within = "2h", notes = "drill" }
            assert(test.vm == "orders-test" and test.address == "10.9.8.21" and #test.findings == 1, test.address)
            local seconds = test.ends - recovery.now()
            local done = item:clean_up_test { notes = "well" }
            return done.passed, item:nics()[1].test.address, seconds > 7000 and seconds <= 7200
            """)
        #expect(outcome.error == nil && outcome.values == [true, "10.9.8.21", true], "\(outcome)")
        #expect(try await relationship(bench).lastTest?.notes == "drill\nwell")
    }

    @Test(
        "Options that mean nothing are refused before anything happens",
        arguments: [
            ("item:test_failover { host_address = '10.9.8.1/24' }", "argument"),
            ("item:test_failover { network = 'create', dhcp = '10.9.8.5-10.9.8.9' }", "argument"),
            ("item:test_failover { netwrok = 'create' }", "argument"),
            ("item:test_failover { within = '1s' }", "argument"),
            ("item:test_failover { network = 'silver-net' }", "refused"),
            ("item:test_failover { network = 'no-net' }", "unknown"),
            ("item:set_nic { test = { mode = 'dhcp' } }", "argument"),
            ("item:set_nic { index = 1, mac = 'x', test = { mode = 'dhcp' } }", "argument"),
            ("item:set_nic { index = 1, test = { mode = 'dchp' } }", "argument"),
            ("item:set_nic { index = 1, test = { mode = 'static', adress = '10.9.8.1' } }", "argument"),
            ("item:set_nic { index = 1, test = { mode = 'static', address = '10.9.8' } }", "argument"),
            ("item:set_nic { index = 1, test = { mode = 'static', address = '10.9.8.1' } }", "invalid"),
            ("item:set_nic { index = 1, test = true }", "argument"),
            ("item:set_nic { index = 9, test = { mode = 'dhcp' } }", "unknown"),
        ])
    func refused(call: String, kind: String) async throws {
        let bench = try await bench()
        let before = try await relationship(bench)
        let error = try #require(try await run(bench, call).error)
        #expect(error.kind.rawValue == kind, "\(error)")
        var after = try await relationship(bench)
        (after.lastError, after.lastTest) = (before.lastError, before.lastTest)
        #expect(after == before)
    }

    @Test("drill.test cleans up whatever its check says, and raises the check's error")
    func drill() async throws {
        let bench = try await bench()
        let good = try await run(
            bench, "return require('drill').test(item, { network = 'create' }, function(t) assert(t.vm) end).passed")
        #expect(good.error == nil && good.values == [true], "\(good)")
        let bad = try await run(bench, "require('drill').test(item, {}, function() error('no login', 0) end)")
        #expect(bad.error?.message.contains("no login") == true, "\(bad)")
        #expect(traces(bench).isEmpty)
        #expect(try await relationship(bench).lastTest?.notes?.contains("no login") == true)
    }

    @Test("test-drill.lua tries every VM of the cloud and leaves nothing behind")
    func example() async throws {
        let bench = try await bench()
        let outcome = try await bench.run(Project.text("examples/test-drill.lua"))
        #expect(outcome.error == nil, "\(outcome)")
        #expect(bench.printed.text.contains("passed") && traces(bench).isEmpty, "\(bench.printed.text)")
    }
}
