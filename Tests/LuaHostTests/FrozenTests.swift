import LuaHost
import Testing

/// What Lua's libraries and the host hand to scripts stays as it is, by whatever way a script gets at it.
@Suite struct FrozenTests {
    /// Tries each way to write to each table that a script can get hold of, and names those that worked.
    static let attack = """
        local open, seen, tried = {}, {}, 0
        local function attempt(how, path, f, ...) tried = tried + 1 if pcall(f, ...) then open[#open + 1] = path .. ": " .. how end end
        local function evil() return "evil" end
        local function set(t, k) t[k] = evil end
        local visit
        local function visit_all(path, ...)
            for i = 1, select("#", ...) do visit(path .. "/" .. i, (select(i, ...))) end
        end
        function visit(path, v)
            local kind = type(v)
            if kind ~= "table" and kind ~= "userdata" and kind ~= "string" then return end
            if kind == "string" then
                if type(getmetatable(v)) ~= "string" then open[#open + 1] = path .. ": metatable" end
                return
            end
            if v == _G or seen[v] then return end
            seen[v] = true
            local names = { "rep", "kind", "retryable", "all", "status", "wait", "answer", "__index", 1, "new" }
            pcall(function() for k in pairs(v) do names[#names + 1] = k end end)
            for _, k in ipairs(names) do
                attempt("assignment of " .. tostring(k), path, set, v, k)
                attempt("rawset of " .. tostring(k), path, rawset, v, k, evil)
            end
            attempt("setmetatable", path, setmetatable, v, {})
            attempt("table.insert", path, table.insert, v, evil)
            attempt("table.move", path, table.move, { evil }, 1, 1, 1, v)
            attempt("sort", path, table.sort, setmetatable({}, { __index = { 2, 1 }, __newindex = v, __len = function() return 2 end }))
            visit(path .. "#", getmetatable(v))
            if pcall(pairs, v) then
                visit_all(path .. ".pairs", select(2, pairs(v)))
                for k, member in pairs(v) do visit(path .. "." .. tostring(k), member) end
            end
            if kind == "table" then
                visit_all(path .. ".ipairs", select(2, ipairs(v)))
                visit_all(path .. ".next", next(v))
                visit_all(path .. ".unpack", table.unpack(v))
            end
        end
        local names = {}
        for name in pairs(_G) do names[#names + 1] = name end
        for _, name in ipairs(names) do if _G[name] ~= seen then visit(name, _G[name]) end end
        visit("text", "")
        visit("object", host.vm("a"))
        local _, e = pcall(host.fail)
        visit("error", e)
        _, e = pcall(function() return nosuch end)
        visit("own error", e)
        task.scope(function() visit("handle", task.spawn(function() end)) end)
        return tried, open
        """

    @Test func nothingThatIsReachedCanBeWrittenTo() async throws {
        let fixture = try hosted()
        let results = try await fixture.run(Self.attack)
        #expect(results[0].integer ?? 0 > 500)
        #expect(results[1].table?.array.compactMap(\.text) == [])
        let next =
            "return ('ab'):rep(2), string.rep('x', 2), host.answer, #task.all { print }, math.type(1), host.vm('a'):name()"
        #expect(try await fixture.run(next) == ["abab", "xx", 42, 0, "integer", "a"])
    }

    /// The state of a loop over something locked is what was asked for, not what lies behind it.
    @Test(arguments: ["string", "table", "math", "os", "utf8", "coroutine", "debug", "task", "host", "_G", "e"])
    func pairsShowsNoMoreThanItWasGiven(_ name: String) async throws {
        let source = """
            local _, e = pcall(host.fail)
            local t = \(name)
            local step, state, first, closing = pairs(t)
            local count = 0
            for k, v in pairs(t) do if t[k] == v then count = count + 1 end end
            return rawequal(state, t), first, closing, select("#", pairs(t)), count > 0, type((step(state, first)))
            """
        #expect(try await hosted().run(source) == [true, nil, nil, 3, true, "string"])
    }

    @Test func theErrorThatEndsARunCannotBeRewritten() async throws {
        let fixture = try hosted { $0.limits.fuel = 100_000 }
        let source = """
            local function tamper(_, e)
                for _, t in ipairs { e, (select(2, pairs(e))) } do
                    pcall(function() t.kind = "renamed" end)
                    pcall(function() t.message = "all is well" end)
                    pcall(rawset, t, "retryable", true)
                end
            end
            local c <close> = setmetatable({}, { __close = tamper })
            while true do end
            """
        for _ in 1...2 {
            let error = try await fixture.failure(source)
            #expect(error.kind == .fuel)
            #expect(error.message == "the script has used up its instruction budget")
            #expect(!error.retryable)
        }
    }

    @Test func ourIteratorsHaveNoClosingValue() async throws {
        let source = """
            local counts = {}
            local function count(...) counts[#counts + 1] = select("#", ...) end
            count(pairs({})) count(pairs(string)) count(ipairs({})) count(("x"):gmatch("x")) count(utf8.codes("x"))
            count(pairs(setmetatable({}, { __pairs = function() return 1, 2, 3, 4 end })))
            return counts
            """
        #expect(try await hosted().run(source) == [[3, 3, 3, 1, 3, 3]])
    }

    /// A fault of Lua 5.4.4 that the shim cannot mend, and the way round it that the documentation gives.
    @Test func aClosingValueOfAForLoopIsClosedAsInStockLua() async throws {
        let loop = """
            local closed, functions = false, {}
            local function each()
                return function(_, i) i = (i or 0) + 1 if i < 4 then return i end end, nil, nil,
                    setmetatable({}, { __close = function() closed = true end })
            end
            local at_break
            local ok, message = pcall(function()
                for i in each() do functions[#functions + 1] = function() return i end if i == 2 then break end end
                at_break = closed
            end)
            return tostring(at_break) .. " " .. tostring(ok) .. " " .. tostring(message):gsub("^.-:%d+: ", "")
            """
        let stock = try #require(LuaProbe.stock(loop))
        #expect(try await Fixture().run(loop).first?.text == String(decoding: stock, as: UTF8.self))
        #expect(
            String(decoding: stock, as: UTF8.self) == "false true nil")
        let wayRound = """
            local closed, functions = false, {}
            local function each() return function(_, i) i = (i or 0) + 1 if i < 4 then return i end end end
            do
                local c <close> = setmetatable({}, { __close = function() closed = true end })
                for i in each() do functions[#functions + 1] = function() return i end if i == 2 then break end end
            end
            return closed, functions[2]()
            """
        #expect(try await Fixture().run(wayRound) == [true, 2])
    }
}

/// Text is made of each kind of value between texts that need a buffer of their own.
@Suite struct TostringTests {
    static let values = [
        "nil", "true", "1", "2.5", "'x'", "{}", "print", "string", "host", "task", "host.vm('a')",
        "coroutine.create(print)", "setmetatable({}, { __name = 'Class' })", "setmetatable({}, { __name = 5 })",
        "setmetatable({}, { __name = ('n'):rep(100000) })",
        "setmetatable({}, { __tostring = function() return 'own' end })",
        "(select(2, pcall(host.fail)))", "(select(2, pcall(function() return nosuch end)))", "handle",
    ]

    @Test(arguments: values)
    func longTextsBeforeAndAfter(_ value: String) async throws {
        let source = """
            local handle
            task.scope(function() handle = task.spawn(function() end) end)
            local v = \(value)
            local a, b, t = ("a"):rep(2000), ("b"):rep(50000), tostring(v)
            print(a, v, b)
            print(v, a, v, v, b, v)
            print(b, v)
            return string.format("%s|%s|%s", a, v, b) == a .. "|" .. t .. "|" .. b,
                string.format("%s%s%s", v, v, b) == t .. t .. b, pcall(string.format, "%s %s", v), t
            """
        let fixture = try hosted()
        let results = try await fixture.run(source)
        #expect(results.prefix(3) == [true, true, false], "an argument that is missing is an error")
        let text = try #require(results.last?.text)
        #expect(text.utf8.count <= 200)
        let (a, b) = (String(repeating: "a", count: 2000), String(repeating: "b", count: 50000))
        #expect(
            fixture.lines.all == [
                "\(a)\t\(text)\t\(b)", "\(text)\t\(a)\t\(text)\t\(text)\t\(b)\t\(text)", "\(b)\t\(text)",
            ])
    }
}
