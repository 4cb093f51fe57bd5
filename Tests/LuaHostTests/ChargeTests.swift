import LuaHost
import Testing

/// Whatever takes time costs fuel, so that fuel alone ends every script: a virtual clock stands still.
@Suite struct ChargeTests {
    /// What is done a hundred times, and what each time has to cost at least.
    static let waits: [(call: String, fuel: UInt64)] = [
        ("host.wait()", 1000), ("task.all {}", 1000), ("task.map({}, print)", 1000),
        ("task.scope(function() end)", 1000), ("task.timeout(5, function() end)", 1000),
        ("task.race { function() end }", 1000), ("task.scope(function() task.spawn(function() end):wait() end)", 3000),
        ("require('m' .. n)", 1000),
    ]

    struct Anything: ModuleResolver {
        func module(named name: String) -> ModuleSource? { ModuleSource(chunk: name, source: Array("return 1".utf8)) }
    }

    @Test(arguments: waits)
    func aWaitCosts(_ call: String, _ fuel: UInt64) async throws {
        let fixture = try hosted { $0.resolver = Anything() }
        _ = try await fixture.run("for n = 1, 100 do \(call) end")
        #expect(await fixture.state.usage.fuel >= 100 * fuel)
    }

    /// Work that grows with the size of something: what is prepared, what is done, and what that costs at least.
    static let work: [(what: String, setup: String, source: String, fuel: UInt64)] = [
        ("a long list of tasks", "t = {} for i = 1, 100000 do t[i] = print end", "pcall(task.all, t)", 100_000),
        ("a list of items", "t = {} for i = 1, 100000 do t[i] = i end", "pcall(task.map, t, print)", 100_000),
        (
            "the arguments of a task", "t = {} for i = 1, 100000 do t[i] = i end",
            "task.scope(function() task.spawn(function() end, table.unpack(t)) end)", 550_000
        ),
        (
            "the results of a task", "t = {} for i = 1, 100000 do t[i] = i end",
            "task.scope(function() local h = task.spawn(function() return table.unpack(t) end) h:wait() h:wait() end)",
            550_000
        ),
        ("looking for a first key where all were cleared", emptied, "for i = 1, 100 do next(t) end", 1_000_000),
        ("going through a table where all were cleared", emptied, "for i = 1, 100 do pairs(t) end", 1_000_000),
        ("passing a table where all were cleared", emptied, "for i = 1, 100 do host.echo(t) end", 1_000_000),
        (
            "a name that is near none of many", "for i = 1, 100000 do _G['global' .. i] = 1 end",
            "for i = 1, 10 do pcall(load('return nothing' .. i)) end", 1_000_000
        ),
        (
            "back references that do not match",
            "s = ('a'):rep(1000) .. 'b' .. (('a'):rep(999) .. 'c'):rep(100)", "s:find('^(a+)b.-%1')", 1_000_000
        ),
    ]

    static let emptied =
        "t = {} for i = 1, 100000 do t['k' .. i] = i end for i = 1, 100000 do t['k' .. i] = nil end"

    @Test(arguments: work)
    func workIsCharged(_ what: String, _ setup: String, _ source: String, _ fuel: UInt64) async throws {
        let fixture = try hosted { $0.limits.tasks = 10 }
        _ = try await fixture.run(setup)
        _ = try await fixture.run(source)
        let used = await fixture.state.usage.fuel
        #expect(used >= fuel, "\(what): \(used)")
    }
}
