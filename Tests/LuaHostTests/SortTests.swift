import LuaHost
import Testing

/// `table.sort` gives what Lua's own gives, by comparisons that are the same in every run, and can be stopped.
@Suite struct SortTests {
    /// Lists that Lua's own sorts too, each as the text of a script that returns what becomes of it.
    static let sorted: [String] = [
        "local t = {} table.sort(t) return #t .. ''",
        "local t = { 1 } table.sort(t) return t[1] .. ''",
        "local t = { 2, 1 } table.sort(t) return table.concat(t, ' ')",
        "local t = { 3, 1, 2, 2.5, -1, 10, 1e9, 0 } table.sort(t) return table.concat(t, ' ')",
        "local t = { 'b', 'a', '', 'B', 'aa', 'a\\0', '10', '9' } table.sort(t) return table.concat(t, ',')",
        "local t = {} for i = 1, 1000 do t[i] = i * 7919 % 1009 end table.sort(t) return table.concat(t, ' ')",
        "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function(a, b) return a > b end) return table.concat(t, ' ')",
        "local t = { { 3 }, { 1 }, { 2 } } table.sort(t, function(a, b) return a[1] < b[1] end) return t[1][1] .. t[2][1] .. t[3][1]",
        """
        local m = { __lt = function(a, b) return a.v < b.v end }
        local t = {} for i = 1, 50 do t[i] = setmetatable({ v = i * 31 % 53 }, m) end
        table.sort(t) local out = {} for i, x in ipairs(t) do out[i] = x.v end return table.concat(out, ' ')
        """,
        """
        local data = { 5, 3, 4, 1 }
        local t = setmetatable({}, {
            __len = function() return #data end, __index = function(_, i) return data[i] end,
            __newindex = function(_, i, v) data[i] = v end })
        table.sort(t) return table.concat(data, ' ')
        """,
        "return select('#', table.sort({ 2, 1 })) .. ''",
        "return select('#', table.sort({})) .. ''",
        "return (select(2, pcall(table.sort, { 1, 'x' })):gsub('^.-: ', ''))",
        "return (select(2, pcall(table.sort, { 1, nil, 3 })))",
        "return (select(2, pcall(table.sort, { {}, {} })))",
        "return (select(2, pcall(table.sort, { 1, 2 }, 5)))",
        "return (select(2, pcall(table.sort, 5)))",
        "return (select(2, pcall(table.sort)))",
        "return tostring(pcall(table.sort, { 1 }, 5))",
        "return (select(2, pcall(table.sort, { 1, 2, 3, 4 }, function() return true end)))",
        "return (select(2, pcall(table.sort, { 1, 2, 3, 4, 5, 6, 7, 8 }, function() return true end)))",
        "return tostring(pcall(table.sort, { 1, 2, 3 }, function() return true end))",
        "local t = { 3, 1, 2 } return tostring(pcall(table.sort, t, function() return nil end))",
        "return (select(2, pcall(table.sort, { 2, 1 }, function() error('mine', 0) end)))",
    ]

    @Test(arguments: sorted)
    func itDoesAsLuasOwn(_ source: String) async throws {
        let stock = try #require(LuaProbe.stock(source))
        #expect(try await Fixture().run(source) == [.string(LuaString(bytes: stock))])
    }

    @Test func itemsThatAreEqualStayAsTheyStood() async throws {
        let source = """
            local t = {}
            for i = 1, 500 do t[i] = { i % 7, i } end
            table.sort(t, function(a, b) return a[1] < b[1] end)
            for i = 2, #t do
                if t[i - 1][1] == t[i][1] and t[i - 1][2] > t[i][2] then return i end
            end
            return "stable"
            """
        #expect(try await Fixture().run(source) == ["stable"])
    }

    /// Where a list is uneven, Lua's own takes the time for its pivot.
    @Test func theOrderFunctionIsCalledWithTheSameItemsInEveryRun() async throws {
        let source = """
            local t, calls = {}, {}
            for i = 1, 600 do t[i] = i < 580 and i % 5 or -i end
            table.sort(t, function(a, b) calls[#calls + 1] = a * 1000 + b return a < b end)
            return table.concat(calls, " ")
            """
        let first = try await Fixture().run(source)
        for _ in 1...20 { #expect(try await Fixture().run(source) == first) }
    }

    @Test func itComparesSeldomAndOrderedListsLeast() async throws {
        let source = """
            local function count(order)
                local t, n = {}, 0
                for i = 1, 4096 do t[i] = order(i) end
                table.sort(t, function(a, b) n = n + 1 return a < b end)
                return n
            end
            return count(function(i) return i end), count(function(i) return -i end),
                count(function(i) return i * 7919 % 4099 end), count(function(i) return i % 2 == 0 and i or -i end)
            """
        let counts = try await Fixture().run(source).compactMap(\.integer)
        #expect(counts.allSatisfy { $0 <= 4096 * 14 } && counts.count == 4)
        #expect(counts[0] <= 2 * 4096)
    }

    @Test func anOrderFunctionThatFailsLeavesTheListAsItWas() async throws {
        let source = """
            local t, n = { 5, 4, 3, 2, 1 }, 0
            local ok = pcall(table.sort, t, function(a, b) n = n + 1 if n == 5 then error("x") end return a < b end)
            return ok, table.concat(t)
            """
        #expect(try await Fixture().run(source) == [false, "54321"])
    }

    @Test func aListThatIsTooLongForTheBudgetIsRefused() async throws {
        let fixture = try Fixture { $0.limits.memory = 1 << 20 }
        let source = "table.sort(setmetatable({}, { __len = function() return 1 << 20 end }))"
        #expect(try await fixture.failure(source).kind == .size)
    }
}
