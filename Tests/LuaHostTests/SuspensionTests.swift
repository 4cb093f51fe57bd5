import LuaHost
import Testing

/// A wait of the host suspends the Lua task, wherever in the script it happens.
@Suite struct SuspensionTests {
    static let places: [(String, [LuaValue])] = [
        ("return host.wait(1, 2)", [1, 2]),
        ("return pcall(host.wait, 1, 2)", [true, 1, 2]),
        ("return pcall(pcall, host.wait, 1)", [true, true, 1]),
        ("return xpcall(host.wait, print, 1)", [true, 1]),
        ("return pcall(function() return pcall(function() return host.wait(3) end) end)", [true, true, 3]),
        ("local t = setmetatable({}, { __index = function(_, k) return host.wait(k) end }) return t.x", ["x"]),
        ("local t = setmetatable({}, { __add = function() return host.wait(9) end }) return t + t", [9]),
        (
            "local t = setmetatable({}, { __eq = function() return host.wait(true) end }) return t == "
                + "setmetatable({}, getmetatable(t))", [true]
        ),
        ("local t = setmetatable({}, { __call = function(_, x) return host.wait(x) end }) return t(5)", [5]),
        (
            "local t = setmetatable({}, { __pairs = function() return host.wait(next), { 7 }, nil end "
                + "}) local s = 0 for _, v in pairs(t) do s = s + v end return s", [7]
        ),
        (
            "local sum = 0 for v in function(_, last) last = last or 0 if last < 3 then return "
                + "host.wait(last + 1) end end do sum = sum + v end return sum", [6]
        ),
        (
            "local out do local c <close> = setmetatable({}, { __close = function() out = host.wait(4) "
                + "end }) end return out", [4]
        ),
        (
            "local f = coroutine.wrap(function(a) local b = coroutine.yield(host.wait(a)) return "
                + "host.wait(b) end) return f(1), f(2)", [1, 2]
        ),
        (
            "local co = coroutine.create(function(a) return host.wait(a), coroutine.yield('mine') end) "
                + "local a, b = coroutine.resume(co, 1) local c, d, e = coroutine.resume(co, 2) return "
                + "a, b, c, d, e, coroutine.status(co)", [true, "mine", true, 1, 2, "dead"]
        ),
        (
            "return coroutine.wrap(function() return coroutine.wrap(function() return "
                + "pcall(coroutine.wrap(host.wait), 8) end)() end)()", [true, 8]
        ),
        ("local ok, e = pcall(host.wait_and_fail) return ok, e.kind", [false, "lost"]),
        ("local ok, e = coroutine.resume(coroutine.create(host.wait_and_fail)) return ok, e.kind", [false, "lost"]),
        (
            "local ok, e = pcall(coroutine.wrap(function() host.wait() host.wait_and_fail() end)) "
                + "return ok, e.kind", [false, "lost"]
        ),
        ("local f = load('return host.wait(...)') return f(6)", [6]),
        ("return (function(...) return select('#', host.wait(...)) end)(nil, nil, nil)", [3]),
    ]

    @Test(arguments: places)
    func aWaitComesBackWhereItWas(_ source: String, _ expected: [LuaValue]) async throws {
        #expect(try await hosted().run(source) == expected)
    }

    @Test(arguments: [
        "table.sort({ 1, 2, 3 }, function(a, b) host.wait() return a < b end)",
        "('x'):gsub('x', function() host.wait() end)",
        "tostring(setmetatable({}, { __tostring = function() return host.wait('x') end }))",
        "load(function() return host.wait(nil) end)",
        "coroutine.wrap(function() table.sort({ 1, 2 }, function() coroutine.wrap(host.wait)() end) end)()",
        "table.sort({ 1, 2 }, function() task.sleep(1) end)",
        "table.sort({ 1, 2 }, function() task.all { print } end)",
    ])
    func aWaitThatCannotPassIsRefusedByName(_ source: String) async throws {
        let fixture = try hosted()
        let error = try await fixture.failure(source)
        #expect(error.message.contains("a wait is not possible here"))
        #expect(try await fixture.run("return host.wait(1)") == [1], "the state works on")
    }

    @Test func nobodyElseWakesACoroutineThatWaits() async throws {
        let fixture = try hosted()
        let source = """
            local co = coroutine.create(function() return "real " .. host.wait("answer") end)
            local forged, closed
            local results = task.all {
                function() return select(2, coroutine.resume(co)) end,
                function()
                    forged = { coroutine.resume(co, "forged") }
                    closed = { pcall(coroutine.close, co) }
                    return coroutine.status(co)
                end,
            }
            return results[1], results[2], forged[1], forged[2], closed[1]
            """
        #expect(
            try await fixture.run(source) == [
                "real answer", "suspended", false, "cannot resume a coroutine that waits for the host", false,
            ])
    }

    @Test func protectedCallsNestWithoutBoundAcrossWaits() async throws {
        let source = """
            local function f(n)
                host.wait()
                if n == 0 then return "deep" end
                return select(2, pcall(f, n - 1))
            end
            return f(2000), f(2000)
            """
        let fixture = try hosted()
        #expect(try await fixture.run(source) == ["deep", "deep"])
        #expect(try await fixture.run("return host.wait(pcall(host.add, 1, 2))") == [true, 3])
    }

    @Test func nobodyElseWakesATaskThatWaits() async throws {
        let source = """
            local co
            local results = task.all {
                function() co = coroutine.running() return host.wait("answer") end,
                function() return select(2, coroutine.resume(co, "forged")) end,
            }
            return results[1], results[2]
            """
        #expect(
            try await hosted().run(source) == ["answer", "cannot resume a coroutine that waits for the host"])
    }

    @Test(arguments: [
        ("return pcall(coroutine.yield, 1)", "attempt to yield from outside a coroutine"),
        ("return coroutine.resume(coroutine.running())", "cannot resume non-suspended coroutine"),
        (
            "local co = coroutine.create(print) coroutine.resume(co) return coroutine.resume(co)",
            "cannot resume dead coroutine"
        ),
    ])
    func mistakesWithCoroutinesReadAsInLua(_ source: String, _ message: String) async throws {
        #expect(try await hosted().run(source) == [false, LuaValue(message)])
    }

    @Test func closingACoroutineRunsItsCloseHandlers() async throws {
        let source = """
            local log = {}
            local co = coroutine.create(function()
                local c <close> = setmetatable({}, { __close = function() log[#log + 1] = "closed" end })
                coroutine.yield()
            end)
            coroutine.resume(co)
            return coroutine.close(co), log[1], coroutine.status(co)
            """
        #expect(try await hosted().run(source) == [true, "closed", "dead"])
    }

    @Test func closeCallsCannotBeNestedWithoutBound() async throws {
        let source = """
            local function link(n)
                local co = coroutine.create(function()
                    local c <close> = setmetatable({}, { __close = function()
                        if n > 0 then assert(coroutine.close(link(n - 1))) end
                    end })
                    coroutine.yield()
                end)
                coroutine.resume(co)
                return co
            end
            return coroutine.close(link(20000))
            """
        let fixture = try hosted()
        let results = try await fixture.run(source)
        #expect(results.first == false)
        #expect(try await fixture.run("return 1") == [1])
    }
}
