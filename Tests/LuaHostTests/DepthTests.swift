import LuaHost
import Testing

/// How deeply C calls may be nested, beside stock Lua.
@Suite struct DepthTests {
    static let ways = [
        "local function f() count() return coroutine.wrap(f)() end f()",
        "local function f() count() return coroutine.resume(coroutine.create(f)) end f()",
        "local function f() count() return pcall(f) end f()",
        "local function f() count() return xpcall(f, print) end f()",
        "local function f() count() return (('x'):gsub('.', f)) end f()",
        "local function f() count() table.sort({ 1, 2 }, f) end f()",
        "local t t = setmetatable({}, { __index = function(t, k) count() return t[k + 1] end }) return t[1]",
        "local t t = setmetatable({}, { __tostring = function() count() return tostring(t) end }) return tostring(t)",
        "local function f() count() return load(f) end f()",
    ]

    @Test(arguments: ways)
    func theDepthIsNearThatOfStockLua(_ way: String) async throws {
        let script = "local n = 0 local function count() n = n + 1 end pcall(function() \(way) end) return "
        let text = try #require(LuaProbe.stock(script + "tostring(n)"))
        let stock = try #require(Int(String(decoding: text, as: UTF8.self)))
        let fixture = try Fixture()
        let ours = try #require(try await fixture.run(script + "n").first?.integer)
        print("depth \(ours), stock \(stock): \(way)")
        #expect(stock >= 190)
        #expect(Int(ours) >= stock - 10)
        #expect(try await fixture.run("return 1") == [1])
    }

    /// Coroutines within coroutines, each with as many C calls as are allowed: the C stack is looked at, not counted.
    @Test func mixedNestingEndsBeforeTheStackDoes() async throws {
        let source = """
            local coroutines, calls = 0, 0
            local function down(n)
                calls = calls + 1
                if n > 0 then return (("x"):gsub("x", function() down(n - 1) end)) end
                coroutines = coroutines + 1
                return coroutine.wrap(down)(180)
            end
            local ok, e = pcall(down, 180)
            return ok, tostring(e), coroutines, calls
            """
        let fixture = try Fixture()
        let results = try await fixture.run(source)
        #expect(results.first == false)
        #expect(results[1].text?.contains("C stack overflow") == true)
        print("mixed nesting: \(results[2]) coroutines, \(results[3]) calls")
        #expect(try await fixture.run("return 1") == [1])
    }
}

/// Hosts may bring threads of their own, with smaller stacks.
@Suite struct SmallStackTests {
    static let least = 2 << 20

    @Test(arguments: DepthTests.ways)
    func theLeastStackHoldsTheDeepestNesting(_ way: String) async throws {
        let fixture = try Fixture { $0.executor = LuaThread(stackSize: Self.least) }
        let script = "local n = 0 local function count() n = n + 1 end pcall(function() \(way) end) return n"
        let depth = try await fixture.run(script).first?.integer ?? 0
        #expect(depth >= 90)
        #expect(try await fixture.run("return 1") == [1])
    }
}
