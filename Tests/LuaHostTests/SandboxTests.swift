import LuaHost
import Testing

@Suite struct SandboxTests {
    /// Everything a script can name: what is not on this list does not exist for it.
    static let allowed = """
        _G _VERSION assert collectgarbage coroutine coroutine.close coroutine.create coroutine.isyieldable
        coroutine.resume coroutine.running coroutine.status coroutine.wrap coroutine.yield debug debug.traceback error
        getmetatable inspect ipairs load math math.abs math.acos math.asin math.atan math.ceil math.cos math.deg math.exp
        math.floor math.fmod math.huge math.log math.max math.maxinteger math.min math.mininteger math.modf math.pi
        math.rad math.random math.randomseed math.sin math.sqrt math.tan math.tointeger math.type math.ult next os
        os.clock os.date os.difftime os.time pairs pcall print rawequal rawget rawlen rawset require select setmetatable
        string string.byte string.char string.find string.format string.gmatch string.gsub string.len string.lower
        string.match string.pack string.packsize string.rep string.reverse string.sub string.unpack string.upper table
        table.concat table.insert table.move table.pack table.remove table.sort table.unpack task task.all task.map
        task.race task.scope task.sleep task.spawn task.timeout tonumber tostring type utf8 utf8.char utf8.charpattern utf8.codepoint
        utf8.codes utf8.len utf8.offset xpcall
        """

    @Test func aScriptReachesWhatTheListAllowsAndNoMore() async throws {
        let source = """
            local names, seen = {}, {}
            local function walk(prefix, t)
                if seen[tostring(t) .. prefix] then return end
                for name, value in pairs(t) do
                    local path = prefix .. tostring(name)
                    names[#names + 1] = path
                    if type(value) == "table" and value ~= _G then walk(path .. ".", value) end
                    local meta = getmetatable(value)
                    if type(meta) == "table" then walk(path .. "#", meta) end
                end
            end
            walk("", _G)
            return names
            """
        let names = try #require(try await Fixture().run(source).first?.table?.array.compactMap(\.text))
        #expect(names.sorted() == Self.allowed.split { $0.isWhitespace }.map(String.init).sorted())
    }

    @Test(arguments: [
        "getmetatable('').__index = {}", "getmetatable('').__index.rep = print", "_G.string.rep = nil",
        "setmetatable(_G, nil)", "setmetatable('', {})", "rawset(string, 'rep', print)", "table.insert(string, 1)",
        "setmetatable({}, { __gc = print })", "setmetatable({}, { __mode = 'k' })", "collectgarbage('stop')",
        "collectgarbage()", "io.open('/etc/passwd')", "os.execute('true')", "os.getenv('HOME')", "os.exit()",
        "require('os.execute')", "require('../secret')", "require('/etc/passwd')", "require('a..b')", "require('')",
        "package.loadlib('x', 'y')", "dofile('x')", "loadfile('x')", "string.dump(print)", "debug.getregistry()",
        "string.format('%p', {})", "task.all = nil", "host.answer = 43",
    ])
    func tamperingIsRefused(_ source: String) async throws {
        let fixture = try hosted()
        _ = try await fixture.failure(source)
        #expect(try await fixture.run("return ('ab'):rep(2), host.answer") == ["abab", 42])
    }

    @Test func noAddressIsShown() async throws {
        let source = """
            local shown = { tostring({}), tostring(print), tostring(function() end), tostring(coroutine.create(print)),
                tostring(setmetatable({}, { __name = "named" })), string.format("%s|%10s", {}, print), tostring(host) }
            print({}, print)
            return table.concat(shown, " ")
            """
        let fixture = try hosted()
        #expect(
            try await fixture.run(source) == [
                "<table> <function> <function> <thread> <named> <table>|<function> <host>"
            ])
        #expect(fixture.lines.all == ["<table>\t<function>"])
    }

    @Test func randomNumbersFollowTheSeed() async throws {
        let source = "return math.random(1000000), math.random(1000000), math.random()"
        let first = try await Fixture { $0.seed = 7 }.run(source)
        #expect(try await Fixture { $0.seed = 7 }.run(source) == first)
        #expect(try await Fixture { $0.seed = 8 }.run(source) != first)
        let again = try await Fixture { $0.seed = 7 }.run("math.random() math.randomseed() " + source)
        #expect(again == first)
    }

    @Test func timeIsTheHosts() async throws {
        let fixture = try Fixture()
        let source = """
            return os.time(), os.clock(), os.date("%Y-%m-%d %H:%M:%S"), os.date("!*t", 86399).hour,
                os.time { year = 2000, month = 1, day = 1, hour = 0 }, os.difftime(5, 3)
            """
        #expect(
            try await fixture.run(source) == [
                1_700_000_000, 0.0, "2023-11-14 22:13:20", 23, 946_684_800, 2.0,
            ])
        fixture.clock.advance(by: .seconds(90))
        #expect(try await fixture.run("return os.time(), os.clock()") == [1_700_000_090, 90.0])
    }

    @Test func theSameScriptPrintsTheSameBytes() async throws {
        let source = """
            local t = {}
            for i = 1, 200 do t["key" .. (i * 7919 % 200)] = i t[i * 31 % 97 + 0.5] = i end
            for k, v in pairs(t) do print(k, v) end
            local k, v = next(t)
            while k ~= nil do print(k, v) k, v = next(t, k) end
            print(inspect(t), math.random(), {}, os.time())
            """
        let first = try Fixture()
        _ = try await first.run(source)
        for _ in 1...20 {
            let other = try Fixture()
            _ = try await other.run(source)
            #expect(other.lines.all == first.lines.all)
        }
        #expect(first.lines.all.count > 500)
    }

    @Test func keysWithoutOrderAreNotTraversed() async throws {
        let fixture = try Fixture()
        for loop in ["for k in pairs(t) do end", "next(t)"] {
            let error = try await fixture.failure("local t = { [{}] = 1, [print] = 2 } " + loop)
            #expect(error.kind == .unorderedKeys)
        }
        let one = "local key = {} local n = 0 for k in pairs({ 5, [key] = 1, x = 2 }) do n = n + 1 end return n"
        #expect(try await fixture.run(one) == [3])
    }

    @Test(
        arguments: [
            ("local t = { 1, 2, 3, a = 1, b = 2 } for k in pairs(t) do t[k] = nil end return next(t)", [nil]),
            (
                "local t = { a = 1, b = 2, c = 3 } local n = 0 for k in pairs(t) do t.b = nil n = n + 1 "
                    + "end return n", [2]
            ),
            ("local t = { a = 1 } next(t) t.b = 2 local k = next(t, next(t)) return k", ["b"]),
            ("return next({}), next({ 5 }), pcall(next, {}, 'x')", [nil, 1, false]),
            (
                "local t = { 1, nil, 3, n = 4 } local s = '' for k in pairs(t) do s = s .. tostring(k) .. "
                    + "' ' end return s",
                ["1 3 n "]
            ),
            (
                "local s = '' for k, v in pairs(setmetatable({}, { __pairs = function() return next, { z = "
                    + "1 }, nil end })) do s = s .. k end return s",
                ["z"]
            ),
        ] as [(String, [LuaValue])])
    func traversalFollowsLuasRules(_ source: String, _ expected: [LuaValue]) async throws {
        let results = try await Fixture().run(source)
        #expect(Array(results.prefix(expected.count)) == expected)
    }
}

@Suite struct ModuleTests {
    struct Texts: ModuleResolver {
        let texts: [String: String]
        func module(named name: String) throws -> ModuleSource? {
            texts[name].map { ModuleSource(chunk: "lib/\(name).lua", source: Array($0.utf8)) }
        }
    }

    func fixture(_ texts: [String: String]) throws -> Fixture {
        try hosted { $0.resolver = Texts(texts: texts) }
    }

    @Test func modulesAreLoadedOnceAndMayWait() async throws {
        let fixture = try fixture([
            "waves": "loads = (rawget(_G, 'loads') or 0) + 1 host.wait() "
                + "return { n = loads, ... }"
        ])
        let source = "local a, b = require 'waves', require 'waves' return a == b, a.n, a[1], loads"
        #expect(try await fixture.run(source) == [true, 1, "waves", 1])
    }

    @Test func hostModulesAreRequiredToo() async throws {
        #expect(
            try await fixture([:]).run(
                "return require('host') == host, require('string') == "
                    + "string") == [true, true])
    }

    @Test(arguments: [
        ("require 'a'", "require each other in a circle", "lib/b.lua"),
        ("require 'nowhere'", "no module 'nowhere'", "test.lua"),
        ("require 'bad'", "unexpected symbol", "test.lua"),
        ("require 'fails'", "from within", "lib/fails.lua"),
    ])
    func modulesThatCannotBeLoadedSayWhy(_ source: String, _ text: String, _ chunk: String) async throws {
        let fixture = try fixture([
            "a": "return require 'b'", "b": "return require 'a'", "bad": "return = 1", "fails": "error('from within')",
        ])
        let error = try await fixture.failure(source)
        #expect(error.message.contains(text))
        #expect(error.where?.chunk == chunk)
        _ = try await fixture.failure(source)
    }
}
