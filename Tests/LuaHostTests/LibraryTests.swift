import Foundation
import LuaHost
import Testing

/// Libraries written for any Lua, as Debian packages them, load and work as far as the sandbox allows.
///
/// `scripts/setup` installs them.
@Suite struct LibraryTests {
    static let libraries = ["/usr/share/lua/5.4", "/usr/share/lua/5.1", "/usr/lib/x86_64-linux-gnu/lua/5.4"]

    func fixture() throws -> Fixture {
        try #require(
            FileManager.default.fileExists(atPath: "/usr/share/lua/5.4/pl/List.lua"), "run scripts/setup first")
        return try Fixture { $0.resolver = FileModuleResolver(folders: [], libraries: Self.libraries) }
    }

    /// Stand-ins for what the sandbox withholds and some libraries ask for when they load; see docs/lua-sandbox.md.
    static let standIns = """
        package = { config = "/\\n;\\n?\\n!\\n-\\n", path = "", cpath = "", loaded = {}, searchpath = function() end }
        local out = setmetatable({}, { __index = {
            write = function(self, ...) written = (written or "") .. table.concat({ ... }) return self end,
            flush = function() end, close = function() end,
        } })
        io = { stdout = out, stderr = out, write = function(...) out:write(...) end }
        os = setmetatable({ exit = error, getenv = function() end }, { __index = os })
        arg = {}
        written = ""

        """

    @Test func inspectShowsTables() async throws {
        let source = "local show = require 'inspect' return show({ 1, 2, a = { b = 'c' } })"
        #expect(try await fixture().run(source) == ["{ 1, 2,\n  a = {\n    b = \"c\"\n  }\n}"])
    }

    @Test func dkjsonEncodesAndDecodes() async throws {
        let source = """
            local json = require 'dkjson'
            local t = json.decode('{ "a": [1, 2.5, "x\\\\u00e4", null, true], "b": {} }')
            return t.a[2], t.a[3], json.encode({ 1, { x = "\\n" } }), json.encode({ z = 1, a = 2 }, { keyorder = { "a", "z" } }),
                select(3, json.decode('{ "a" '))
            """
        let results = try await fixture().run(source)
        #expect(results.prefix(4) == [2.5, "xä", "[1,{\"x\":\"\\n\"}]", "{\"a\":2,\"z\":1}"])
        #expect(results.last?.text?.contains("unterminated object") == true)
    }

    @Test func argparseParses() async throws {
        let source = """
            local parser = require 'argparse'('dr', 'Moves guests.')
            parser:argument('site')
            parser:option('--limit', 'At once.', '4'):convert(tonumber)
            parser:flag('-v --verbose'):count('*')
            local args = parser:parse({ 'oslo', '--limit', '7', '-vv' })
            local ok, message = parser:pparse({ '--limt', '7' })
            return args.site, args.limit, args.verbose, ok, message, (parser:get_help():find('Moves guests.', 1, true) ~= nil)
            """
        let results = try await fixture().run(source)
        #expect(results == ["oslo", 7, 2, false, "unknown option '--limt'\nDid you mean '--limit'?", true])
    }

    @Test func luaunitRunsTests() async throws {
        let source =
            Self.standIns + """
                local lu = require 'luaunit'
                TestSums = {}
                function TestSums:testGood() lu.assertEquals({ 1, { 2 } }, { 1, { 2 } }) end
                function TestSums:testBad() lu.assertEquals(1 + 1, 3) end
                function TestSums:testError() lu.assertErrorMsgContains('boom', error, 'boom') end
                local runner = lu.LuaUnit.new()
                runner:setOutputType('tap')
                local failures = runner:runSuiteByInstances({ { 'TestSums', TestSums } })
                return failures, written
                """
        let results = try await fixture().run(source)
        #expect(results.first == 1)
        let text = try #require(results.last?.text)
        #expect(text.contains("ok     3\tTestSums.testGood") && text.contains("not ok 1\tTestSums.testBad"))
    }

    @Test func penlightWorks() async throws {
        let source =
            Self.standIns + """
                local List, tablex, stringx = require 'pl.List', require 'pl.tablex', require 'pl.stringx'
                local class, Set, OrderedMap = require 'pl.class', require 'pl.Set', require 'pl.OrderedMap'
                local Animal = class()
                function Animal:_init(name) self.name = name end
                local Dog = class(Animal)
                function Dog:speak() return self.name .. ' barks' end
                local map = OrderedMap()
                map:set('z', 1) map:set('a', 2)
                return List({ 3, 1, 2 }):sort():map('+', 10):join(','), tablex.deepcompare({ 1, { x = 2 } }, { 1, { x = 2 } }),
                    #stringx.split('a b c'), Dog('Rex'):speak(), tostring(Set { 1 } + Set { 2 } == Set { 1, 2 }),
                    table.concat(map:keys(), ','), (require 'pl.pretty').write({ 1, 2 }, ''),
                    (require 'pl.data').read(require('pl.stringio').open('x,y\\n1,2\\n')).fieldnames[2]
                """
        let results = try await fixture().run(source)
        #expect(results == ["11,12,13", true, 3, "Rex barks", "true", "z,a", "{1,2}", "y"])
    }

    @Test func aCLibraryIsRefused() async throws {
        for name in ["lpeg", "re"] {
            let error = try await fixture().failure("return require '\(name)'")
            #expect(error.kind == .undefined)
            #expect(error.message.contains("module 'lpeg' is a C library"), "\(error)")
        }
    }

    @Test(
        arguments: [
            ("return _G.unpack or 'none', rawget(_G, 'setfenv'), _G['no' .. 'thing']", ["none", nil, nil]),
            (
                "_G.mine = 1 mine = mine + 1 return _G.mine, rawget(_G, 'mine'), next(_G) ~= nil, _G._G == _G",
                [2, 2, true, true]
            ),
            (
                "rawset(_G, 'x', 5) local ok = pcall(rawset, _G, nil, 1) return x, ok, rawset(_G, 'y', 1) == _G",
                [5, false, true]
            ),
            (
                "return load('return print', 'x', 't', _G)() == print, pcall(load, 'return nothing', 'x', 't', _G)",
                [true, true]
            ),
            ("print = 5 return _G.print, pcall(setmetatable, _G, {})", [5, false]),
        ] as [(String, [LuaValue])])
    func globalsAreAskedForThroughTheirTable(_ source: String, _ expected: [LuaValue]) async throws {
        #expect(try await Array(Fixture().run(source).prefix(expected.count)) == expected)
    }

    @Test func anUnknownGlobalIsAnErrorInOnesOwnFiles() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lua-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        for part in ["own", "foreign"] {
            let sub = folder.appendingPathComponent(part)
            try FileManager.default.createDirectory(at: sub, withIntermediateDirectories: true)
            try Data("return { value = prnt, later = function() return prnt end }".utf8)
                .write(to: sub.appendingPathComponent("\(part).lua"))
        }
        let fixture = try Fixture {
            $0.resolver = FileModuleResolver(
                folders: [folder.appendingPathComponent("own").path],
                libraries: [folder.appendingPathComponent("foreign").path])
        }
        #expect(try await fixture.run("local m = require 'foreign' return m.value, m.later()") == [nil, nil])
        for source in ["require 'own'", "return prnt"] {
            let error = try await fixture.failure(source)
            #expect(error.kind == .undefined && error.message == "unknown global 'prnt'; did you mean 'print'?")
        }
    }
}
