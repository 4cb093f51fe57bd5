import LuaHost
import Synchronization
import Testing

/// `task.scope` and `task.spawn`, modules that several tasks need, and the order of timers.
@Suite struct SpawnTests {
    static let scripts: [(String, [LuaValue])] = [
        ("return task.scope(function() return 1, nil, 3 end)", [1, nil, 3]),
        ("return task.scope(function() local t = task.spawn(host.wait, 'a', 'b') return t:wait() end)", ["a", "b"]),
        (
            "local n = 0 task.scope(function() for i = 1, 5 do task.spawn(function(k) host.wait() n = n + k end, i) end "
                + "end) return n", [15]
        ),
        (
            "return task.scope(function() local t = task.spawn(function() return 'x' end) host.wait() "
                + "return t:wait(), t:wait() end)", ["x", "x"]
        ),
        (
            "return task.scope(function() local t = task.spawn(function() return task.spawn(host.wait, 7):wait() end) "
                + "return t:wait() end)", [7]
        ),
        (
            "return task.scope(function() local r = task.map({ 1, 2 }, function(i) return task.spawn(host.wait, i) end) "
                + "return r[1]:wait() + r[2]:wait() end)", [3]
        ),
        ("local t task.scope(function() t = task.spawn(host.wait, 9) end) return t:wait()", [9]),
        (
            // Many wait for one, in the order in which they came; some are cancelled before it ends.
            "local order = {} task.scope(function() local t = task.spawn(function() for i = 1, 50 do host.wait() end end) "
                + "for i = 1, 9 do task.spawn(function() pcall(i % 3 == 0 and task.race or pcall, i % 3 == 0 and "
                + "{ function() t:wait() end, function() host.wait() end } or t.wait, t) order[#order + 1] = i end) end "
                + "end) return table.concat(order, ' ')", ["3 6 9 1 2 4 5 7 8"]
        ),
        ("return tostring(task.scope(function() return task.spawn(print) end))", ["<task>"]),
        (
            "local ok, e = pcall(task.spawn, print) return ok, e.message:match('within the function of task.scope')",
            [false, "within the function of task.scope"]
        ),
        (
            "local ok, e = pcall(task.scope, function() task.spawn(host.wait_and_fail) task.sleep(1000) end) "
                + "return ok, e.kind", [false, "lost"]
        ),
        (
            "local t local ok, e = pcall(task.scope, function() t = task.spawn(function() return t:wait() end) "
                + "return t:wait() end) return ok, e.message",
            [false, "task:wait: the tasks would wait for each other for ever"]
        ),
        (
            "local a, b local ok, e = pcall(task.scope, function() a = task.spawn(function() host.wait() return b:wait() "
                + "end) b = task.spawn(function() host.wait() return a:wait() end) end) return ok, e.message",
            [false, "task:wait: the tasks would wait for each other for ever"]
        ),
    ]

    @Test(arguments: scripts)
    func scopesEndWhenTheirTasksHave(_ source: String, _ expected: [LuaValue]) async throws {
        #expect(try await hosted().run(source) == expected)
    }

    @Test func theFunctionsOfTaskHaveNames() async throws {
        let source = "return task.all, task.map, task.race, task.timeout, task.scope, task.spawn, task.sleep, host.add"
        let names = try await hosted().run(source).map { value -> String? in
            if case .function(let function) = value { function.hostName } else { nil }
        }
        #expect(
            names == [
                "task.all", "task.map", "task.race", "task.timeout", "task.scope", "task.spawn", "task.sleep",
                "host.add",
            ])
        #expect(try await hosted().run("return host.echo(task.map) == task.map") == [true])
    }

    struct Sources: ModuleResolver {
        let texts: [String: String]
        func module(named name: String) -> ModuleSource? {
            texts[name].map { ModuleSource(chunk: "\(name).lua", source: Array($0.utf8)) }
        }
    }

    private func requiring(_ texts: [String: String]) throws -> Fixture {
        try hosted { $0.resolver = Sources(texts: texts) }
    }

    @Test func aTaskWaitsForTheModuleThatAnotherLoads() async throws {
        let fixture = try requiring(["slow": "print('loading') host.wait() host.wait() return { value = 5 }"])
        let source = """
            local out = task.map({ 1, 2, 3 }, function() return require("slow") end)
            return out[1] == out[2] and out[2] == out[3], out[3].value
            """
        #expect(try await fixture.run(source) == [true, 5])
        #expect(fixture.lines.all == ["loading"])
    }

    @Test func whenLoadingFailsTheNextOneTries() async throws {
        let fixture = try requiring(["bad": "host.wait() error({ kind = 'bad', message = 'no' })"])
        let source = """
            return task.map({ 1, 2 }, function() local ok, e = pcall(require, "bad") return tostring(ok) .. e.kind end)
            """
        #expect(try await fixture.run(source) == [["falsebad", "falsebad"]])
    }

    @Test(arguments: [
        (
            ["a": "host.wait() require 'b'", "b": "host.wait() require 'a'"],
            "task.all { function() require 'a' end, function() require 'b' end }"
        ),
        (["a": "task.all { function() host.wait() require 'a' end }"], "require 'a'"),
    ])
    func tasksThatWaitInACircleAreTold(_ texts: [String: String], _ source: String) async throws {
        let error = try await requiring(texts).failure(source)
        #expect(error.message.contains("circle"))
    }

    @Test func timersOfOneInstantGoOffInTheOrderOfTheirTasks() async throws {
        for _ in 0..<10 {
            let tape = DeliveryTape()
            let fixture = try Fixture { $0.deliveryOrder = tape }
            // Started in another order than that of the tasks.
            async let results = fixture.run(
                """
                local log = {}
                task.map({ 3, 1, 2, 1 }, function(n, i)
                    for _ = 1, n do task.sleep(0) end
                    task.sleep(10 - n)
                    log[#log + 1] = i
                end)
                return log
                """)
            for count in [4, 4, 4, 4] {
                await fixture.clock.sleepers(atLeast: count)
                fixture.clock.advance(by: .zero)
            }
            await fixture.clock.sleepers(atLeast: 4)
            fixture.clock.advance(by: .seconds(60))
            #expect(try await results == [[1, 3, 2, 4]])
            #expect(tape.deliveries.filter { $0.kind == .timer }.count == 11)
        }
    }

    @Test func tenThousandSleepersOfOneInstantKeepTheirOrder() async throws {
        let fixture = try Fixture()
        async let results = fixture.run(
            """
            local list, log, sorted = {}, {}, true
            for i = 1, 10000 do list[i] = i end
            task.map(list, function(i) task.sleep("1h") log[#log + 1] = i end)
            for i = 1, 10000 do sorted = sorted and log[i] == i end
            return sorted, #log
            """)
        await fixture.clock.sleepers(atLeast: 10_000)
        #expect(await fixture.state.usage.memory < 100 << 20)
        fixture.clock.advance(by: .seconds(3600))
        #expect(try await results == [true, 10_000])
    }
}
