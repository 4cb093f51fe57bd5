import Foundation
import LuaHost
import Synchronization
import Testing

/// Whichever allocation fails: no crash, no leak, an error that says so, and the next state works.
@Suite(.serialized) struct AllocationFailureTests {
    /// Lives for the length of one host call; a Swift frame that was jumped over would leave it behind.
    final class Box: Sendable {
        static let live = Atomic(0)
        init() { Self.live.add(1, ordering: .relaxed) }
        deinit { Self.live.subtract(1, ordering: .relaxed) }
    }

    /// Each kind of host call: values, tables, objects, fields, errors, waits, tasks, coroutines, patterns, modules.
    static let source = """
        local function try(f, ...) return pcall(f, ...) end
        local guard <close> = setmetatable({}, { __close = function() box.touch("closing") end })
        box.touch(1, 2.5, "text", true, nil, { 1, { x = "y", [true] = 2 } })
        local vm = box.vm("a")
        vm:start()
        local s = vm.status .. vm.owner .. tostring(vm) .. inspect({ vm, 1, x = { "y" } })
        try(box.fail)
        try(box.wait_and_fail, s)
        local waited = box.wait({ 1, 2, 3 })
        local co = coroutine.wrap(function(a) coroutine.yield(a + 1) return box.wait(a) end)
        co(1)
        co()
        local list = task.map({ 1, 2, 3 }, { limit = 2 }, function(v) return box.wait(v) * 2 end)
        try(task.all, { function() task.sleep(0.001) end, function() box.wait_and_fail() end })
        task.timeout(60, function() return box.wait(1) end)
        local t = {}
        for k, v in pairs({ a = 1, b = 2, [3] = vm }) do t[#t + 1] = tostring(k) end
        for w in ("one two three"):gmatch("%a+") do t[#t + 1] = w:gsub("(.)(.)", "%2%1") end
        table.sort(t)
        local made = load("return " .. ("1 + "):rep(20) .. "1")()
        print(table.concat(t, ","), s, made, require("mod").value, string.format("%5.2f %s %q", 1, vm, "x"))
        local _ = box.echo(print), box.echo(error)
        -- Scopes of each kind: a branch that fails, losers and a time limit that are cancelled, and handles.
        local function closing() return setmetatable({}, { __close = function() box.touch("closing a loser") end }) end
        local failed = not pcall(task.all, { function() error("boom") end, function() task.sleep(60) end })
        local winner = task.race {
            function() return box.wait("quick") end,
            function() local c <close> = closing() task.sleep(60) end,
            function() local c <close> = closing() coroutine.wrap(function() task.sleep(60) end)() end,
        }
        local late = not pcall(task.timeout, 0, function() local c <close> = closing() task.sleep(60) end)
        local spawned = task.scope(function()
            local a, b = task.spawn(box.wait, 5), task.spawn(function() return box.wait(6), 7 end)
            return a:wait() + select(2, b:wait())
        end)
        local suppressed = not pcall(task.all, {
            function() local c <close> = setmetatable({}, { __close = function() error("second") end }) task.sleep(60) end,
            function() box.wait() error({ kind = "first" }) end,
        })
        local given_up = coroutine.create(require)
        coroutine.resume(given_up, "halting")
        coroutine.close(given_up)
        task.map({ 1, 2 }, function() return require("outer") end)
        return list, waited, t, failed, winner, late, spawned, suppressed, require("outer"), require("halting")
        """

    struct Module: ModuleResolver {
        func module(named name: String) throws -> ModuleSource? {
            let text =
                switch name {
                case "outer": "return require('inner') + box.wait(1)"
                case "inner": "return box.wait(7)"
                case "halting": "if not rawget(_G, 'begun') then begun = true coroutine.yield() end return 3"
                default: "return { value = box.wait(7) }"
                }
            return ModuleSource(chunk: "\(name).lua", source: Array(text.utf8))
        }
    }

    static func configuration() -> LuaConfiguration {
        var configuration = LuaConfiguration()
        configuration.print = { _ in }
        configuration.resolver = Module()
        configuration.objectTypes = [vmType]
        let functions = testModule.functions.filter {
            ["echo", "fail", "wait", "wait_and_fail", "vm"].contains($0.name)
        }
        let touch = HostFunction(
            "touch",
            .synchronous { _, arguments in
                let box = Box()
                return withExtendedLifetime(box) { arguments }
            })
        configuration.modules = [HostModule("box", functions: functions + [touch])]
        return configuration
    }

    /// Runs the script with failing allocations.
    ///
    /// - Returns: how many failed, and what became of the script.
    static func run(after: Int, count: Int) async throws -> (refused: Int, outcome: Result<[LuaValue], LuaError>) {
        let state = try LuaState(configuration())
        await state.failAllocations(after: after, count: count)
        let outcome: Result<[LuaValue], LuaError>
        do { outcome = .success(try await state.run(source, chunk: "test.lua")) } catch { outcome = .failure(error) }
        return (await state.endFailing(), outcome)
    }

    /// How far apart the failing allocations are: sanitizers make each run slow.
    static let stride = ProcessInfo.processInfo.environment["LUAHOST_ALLOCATION_STRIDE"].flatMap(Int.init) ?? 1

    /// One failing allocation makes Lua collect garbage and try again; two make an error; all make it hard to report.
    @Test(arguments: [1, 2, 1_000_000])
    func anyAllocationMayFail(_ count: Int) async throws {
        let boxes = Box.live.load(ordering: .relaxed)
        let whole = try await Self.run(after: .max, count: 1).outcome.get()
        #expect(whole.suffix(7) == [true, "quick", true, 12, true, 8, 3])
        var n = 0
        var errors = 0
        while true {
            let (refused, outcome) = try await Self.run(after: n, count: count)
            switch outcome {
            case .success(let results): #expect(results == whole, "allocation \(n): an error was lost")
            case .failure(let error):
                errors += 1
                #expect(error.kind == .memory && refused > 0, "allocation \(n): \(error)")
            }
            if refused == 0 { break }
            n += Self.stride
        }
        print("allocation failures: \(n) places, every \(Self.stride), \(count) at a time: \(errors) ended the run")
        #expect(n > 200)
        #expect(count == 1 || errors > 200 / Self.stride)
        #expect(LuaProbe.leaks == [0, 0])
        #expect(Box.live.load(ordering: .relaxed) == boxes)
    }

    @Test func aStateThatCannotBeOpenedIsAnError() throws {
        var n = 0
        while true {
            LuaProbe.failAllocations(after: n, count: 2)
            defer { LuaProbe.failAllocations(after: 0, count: 0) }
            do {
                _ = try LuaState(Self.configuration())
                break
            } catch {
                #expect(error.kind == .memory, "allocation \(n): \(error)")
            }
            n += Self.stride
        }
        #expect(n > 200)
    }
}
