import LuaHost
import Testing

/// How many tasks may exist at once, whatever asks for them, and what many of them cost.
@Suite struct TaskLimitTests {
    @Test(.timeLimit(.minutes(5)))
    func aMillionSpawnsEndAtTheLimit() async throws {
        let fixture = try hosted()
        let error = try await fixture.failure(
            """
            task.scope(function()
                for i = 1, 1e6 do task.spawn(host.wait, i) end
            end)
            """)
        #expect(error.kind == .size)
        #expect(error.message == "task.spawn: too many tasks: at most 100000 may exist at once")
        #expect(error.hint == "wait for some, or use task.map with limit")
        #expect(await fixture.state.usage.tasks == 0)
        #expect(
            try await fixture.run("return task.scope(function() return task.spawn(host.wait, 7):wait() end)") == [7])
    }

    @Test(.timeLimit(.minutes(5)))
    func asManySpawnsAsThereMayBeAllRun() async throws {
        let fixture = try hosted { $0.limits.tasks = 50_002 }
        let source = """
            local n = 0
            task.scope(function() for i = 1, 50000 do task.spawn(function(k) n = n + k end, 1) end end)
            return n
            """
        #expect(try await fixture.run(source) == [50_000])
    }

    @Test func aSpawnThatWasRefusedFailsTheScopeThoughItWasCaught() async throws {
        let fixture = try hosted { $0.limits.tasks = 10 }
        let source = """
            local refused = 0
            local ok, e = pcall(task.scope, function()
                for i = 1, 20 do if not pcall(task.spawn, host.wait) then refused = refused + 1 end end
            end)
            return refused, ok, e.kind
            """
        #expect(try await fixture.run(source) == [12, false, "size"])
    }

    static let scopes: [(String, String, String)] = [
        ("task.all", "task.all { w, w, w, w, w }", "use task.map with limit"),
        ("task.race", "task.race { w, w, w, w, w }", "use task.map with limit"),
        ("task.map", "task.map({ 1, 2, 3, 4, 5 }, w)", "give task.map a limit, such as { limit = 100 }"),
        ("task.map", "task.map({ 1, 2, 3, 4, 5 }, { limit = 5 }, w)", "give task.map a limit, such as { limit = 100 }"),
        (
            "task.timeout", "task.all { w, w, w, function() task.timeout(1, w) end }",
            "wait for some tasks before starting others"
        ),
        (
            "task.scope", "task.all { w, w, w, function() task.scope(w) end }",
            "wait for some tasks before starting others"
        ),
    ]

    @Test(arguments: scopes)
    func everyScopeIsRefusedWhereItIsOpened(_ function: String, _ call: String, _ hint: String) async throws {
        let fixture = try hosted { $0.limits.tasks = 5 }
        let error = try await fixture.failure("local w = host.wait\n" + call)
        #expect(error.kind == .size)
        #expect(error.message == "\(function): too many tasks: at most 5 may exist at once")
        #expect(error.hint == hint)
        #expect(await fixture.state.usage.tasks == 0)
        #expect(try await fixture.run("return (pcall(function() local w = host.wait \(call) end))") == [false])
        #expect(try await fixture.run("return task.map({ 1, 2, 3, 4, 5 }, { limit = 4 }, host.wait)[5]") == [5])
    }
}
