import LuaHost
import Testing

/// Going through tables: the order, what it costs, and that huge tables do not outlast the budgets.
@Suite struct TraversalTests {
    /// A deadline that passes while a single call sorts the keys.
    @Test(arguments: [
        "for k in pairs(t) do end", "for k in next, t do end", "inspect(t)", "while true do pairs(t) end",
        "while true do next(t) end", "while true do pcall(pairs, t) end", "host.echo(t)",
    ])
    func aHugeTableDoesNotOutlastTheDeadline(_ loop: String) async throws {
        let fixture = try hosted {
            $0.limits.fuel = nil
            $0.limits.luaTime = .milliseconds(100)
            $0.limits.memory = 1 << 30
            $0.clock = SystemLuaClock()
        }
        // Built in steps, each within the budget.
        _ = await fixture.state.evaluate("t = {}")
        for step in 0..<20 {
            let source = "for i = \(step * 50_000 + 1), \(step * 50_000 + 50_000) do t[i * 2.5] = i end"
            _ = await fixture.state.evaluate(source)
        }
        let start = await fixture.state.processorTime()
        guard case .failed(let error) = await fixture.state.evaluate("while true do \(loop) end") else {
            Issue.record("the loop has to be ended")
            return
        }
        #expect(error.kind == .deadline)
        #expect(await fixture.state.processorTime() - start < .seconds(2))
    }

    /// A million keys cost fuel, whichever way they are gone through.
    @Test(arguments: ["pairs(t)", "next(t, next(t))", "inspect(t)", "next(t)"])
    func theWorkIsCharged(_ call: String) async throws {
        let fixture = try Fixture { $0.limits.memory = 1 << 30 }
        _ = await fixture.state.evaluate("t = {} for i = 1, 200000 do t[i * 2.5] = i end")
        _ = await fixture.state.evaluate("local x = \(call)")
        #expect(await fixture.state.usage.fuel >= 200_000)
    }

    /// 5 million keys: one call is ended in its midst.
    @Test func fiveMillionKeysAreEndedWithinTheirSorting() async throws {
        let fixture = try Fixture {
            $0.limits.fuel = 40_000_000
            $0.limits.memory = 2 << 30
        }
        let error = try await fixture.failure(
            "local t = {} for i = 1, 5000000 do t[i * 2.5] = i end for k in pairs(t) do end")
        #expect(error.kind == .fuel)
        let used = await fixture.state.usage.fuel
        // What closing may take, and what the largest allocation is charged: 5 million keys of 40 bytes to sort.
        #expect(used > 40_000_000 && used < 41_100_000 + 5_000_000 * 40 / 32, "\(used)")
    }

    /// `next` works the order out once: a walk costs little more for each key when there are ten times as many.
    @Test func nextCostsTheSameForEachKey() async throws {
        func fuel(_ count: Int) async throws -> Double {
            let fixture = try Fixture { $0.limits.memory = 1 << 30 }
            let source = """
                local t = {} for i = 1, \(count) do t["k" .. i] = i end
                local n, k = 0, next(t)
                while k ~= nil do n = n + 1 k = next(t, k) end
                return n
                """
            #expect(try await fixture.run(source) == [LuaValue(count)])
            return Double(await fixture.state.usage.fuel) / Double(count)
        }
        let (small, large) = (try await fuel(10_000), try await fuel(100_000))
        #expect(large < small * 1.3)
    }

    static let walks: [(String, [LuaValue])] = [
        (
            "local t = { 1, 2, 3, x = 4 } local n = 0 for k in next, t do t[k] = nil n = n + 1 end return n, next(t)",
            [4, nil]
        ),
        ("local t = { a = 1, b = 2 } local s = '' for k in next, t do t[k] = nil s = s .. k end return s", ["ab"]),
        (
            "local t = { a = 1, b = 2, c = 3 } local s = '' for k in next, t do t[k] = nil s = s .. k "
                + ".. tostring(next(t)) end return s", ["abbccnil"]
        ),
        (
            "local t = { a = 1, c = 3 } local k = next(t) t.b = 2 return k, (next(t, k)), (next(t, 'b'))",
            ["a", "b", "c"]
        ),
        ("local t = { a = 1, c = 3 } next(t, 'a') t.b = 2 return (next(t, 'b'))", ["c"]),
        ("return pcall(next, { a = 1 }, 'x')", [false]),
        ("local t = {} t[print] = 1 return next(t) == print, (next(t, print))", [true, nil]),
        (
            "local t = {} for i = 1, 100 do t[-i] = i end local last = -math.huge for k in next, t do "
                + "assert(k > last) last = k end return last", [-1]
        ),
        (
            "local t = {} for i = 1, 1000 do t['k' .. i * 7919 % 1000] = i end local last, n = '', 0 "
                + "for k in pairs(t) do assert(k > last) last = k n = n + 1 end return n, last", [1000, "k999"]
        ),
    ]

    @Test(arguments: walks)
    func tablesMayChangeAsInLua(_ source: String, _ expected: [LuaValue]) async throws {
        #expect(Array(try await Fixture().run(source).prefix(expected.count)) == expected)
    }
}
