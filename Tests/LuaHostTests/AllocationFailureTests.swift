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
        return list, waited, box.echo(print), error
        """

    struct Module: ModuleResolver {
        func module(named name: String) throws -> ModuleSource? {
            ModuleSource(chunk: "mod.lua", source: Array("return { value = box.wait(7) }".utf8))
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
    /// - Returns: how many failed, and the error if there was one.
    static func run(after: Int, count: Int) async -> (refused: Int, error: LuaError?) {
        guard let state = try? LuaState(configuration()) else { return (0, LuaError(.host, "no state")) }
        await state.failAllocations(after: after, count: count)
        var failure: LuaError?
        do { _ = try await state.run(source, chunk: "test.lua") } catch { failure = error }
        let refused = await state.endFailing()
        return (refused, failure)
    }

    /// How far apart the failing allocations are: sanitizers make each run slow.
    static let stride = ProcessInfo.processInfo.environment["LUAHOST_ALLOCATION_STRIDE"].flatMap(Int.init) ?? 1

    /// One failing allocation makes Lua collect garbage and try again; two make an error; all make it hard to report.
    @Test(arguments: [1, 2, 1_000_000])
    func anyAllocationMayFail(_ count: Int) async throws {
        let boxes = Box.live.load(ordering: .relaxed)
        var n = 0
        var errors = 0
        while true {
            let (refused, error) = await Self.run(after: n, count: count)
            if refused == 0 {
                #expect(error == nil)
                break
            }
            if let error {
                errors += 1
                #expect(error.kind == .memory, "allocation \(n): \(error)")
            }
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
