import LuaHost
import Testing

/// The same script with the same inputs prints the same bytes, however often it runs.
@Suite struct DeterminismTests {
    /// A bit of everything that differs from run to run in stock Lua, or by what finishes first.
    static let script = """
        local t = { 1, 2, "three", [true] = 1, [2.5] = 2, [host.vm("b")] = "b", [host.vm("a")] = "a" }
        for i = 1, 100 do t["key" .. (i * 7919 % 100)] = i end
        for k, v in pairs(t) do print(k, v) end
        for k, v in next, t do print(k, v) end
        print(inspect(t), tostring({}), tostring(print), tostring(coroutine.create(print)), string.format("%s", {}))
        for i = 1, 20 do print(math.random(), math.random(1000)) end
        print(os.time(), os.clock(), os.date(), os.date("%c", 86400))
        local log = {}
        local results = task.map({ 3, 1, 2, 5, 4 }, { limit = 3 }, function(n, i)
            task.sleep(n)
            log[#log + 1] = i
            return { n * 2, sum = host.add(n, i) }
        end)
        print(inspect(results), table.concat(log, " "), os.clock())
        print(task.race { function() task.sleep(2) return "slow" end, function() task.sleep(1) return "quick" end })
        print(pcall(task.timeout, "2s", function() task.sleep("1h") end))
        -- Siblings that are cancelled at one instant, each with something to say.
        local function sibling(name)
            return function()
                local c <close> = setmetatable({}, { __close = function(_, e) print("closing", name, e.kind) end })
                task.sleep(100)
            end
        end
        local ok, e = pcall(task.all, {
            sibling "a", sibling "b", sibling "c", sibling "d",
            function() task.sleep(1) error({ kind = "mine", message = "enough" }) end,
        })
        print(ok, inspect(e))
        print(xpcall(function() local n = nil; return n.x end, debug.traceback))
        print(select(2, pcall(host.fail)))
        local function deep(n) if n == 0 then error("at the bottom") end deep(n - 1) end
        -- Lua's own sort takes the time where a list is uneven.
        local uneven, compared = {}, {}
        for i = 1, 400 do uneven[i] = i < 390 and i % 3 or -i end
        table.sort(uneven, function(a, b) compared[#compared + 1] = a .. "<" .. b return a < b end)
        print(table.concat(compared, " "))
        print(select(2, pcall(task.map, {}, { limits = 1, most = 2, c = 3, d = 4 }, print)))
        for i = 1, 200 do t[i] = { host.vm("vm" .. i % 5), ["field" .. i] = i } end
        print(collectgarbage("count"))
        deep(30)
        """

    private func output() async throws -> String {
        let fixture = try hosted { $0.seed = 7 }
        async let failure = fixture.failure(Self.script)
        // How many wait at each second: the clock is turned when all of them do.
        for count in [3, 3, 3, 2, 2, 2, 2, 2, 2, 5] {
            await fixture.clock.sleepers(atLeast: count)
            fixture.clock.advance(by: .seconds(1))
        }
        let error = try await failure
        let usage = await fixture.state.usage
        return (fixture.lines.all + [error.description, error.traceback ?? "", "\(usage.fuel)"]).joined(separator: "\n")
    }

    @Test func aHundredRunsPrintTheSameBytes() async throws {
        let first = try await output()
        #expect(first.contains("closing\ta\tcancelled\nclosing\tb\tcancelled\nclosing\tc\tcancelled"))
        #expect(first.contains("at the bottom"))
        #expect(first.split(separator: "\n").count > 250)
        for number in 2...100 {
            let next = try await output()
            #expect(next == first, "run \(number)")
            if next != first { break }
        }
    }
}
