import LuaHost
import Testing

/// Whatever a script catches, its budgets end it, and the state can be used again.
@Suite struct BudgetTests {
    static let endless = [
        "while true do end",
        "::again:: goto again",
        "local function f() return f() end f()",
        "while true do pcall(function() while true do end end) end",
        "local function loop() while true do end end while true do xpcall(loop, loop) end",
        "xpcall(function() error('x') end, function() while true do end end) while true do end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local function f() pcall(f) while true do end end f()",
        "local c <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
        "task.all { function() while true do pcall(function() while true do end end) end end, print }",
        "while true do pcall(error) end",
        "load(function() return ' ' end)",
        "while true do pcall(host.wait) end",
        "setmetatable({}, { __index = function(t, k) return t[k + 1] end })[1] = nil while true do end",
        "table.sort({ 1, 2, 3 }, function() while true do end end)",
        "('x'):gsub('x', function() while true do end end)",
        "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
    ]

    @Test(arguments: endless)
    func fuelEndsEveryLoop(_ source: String) async throws {
        let fixture = try hosted { $0.limits.fuel = 2_000_000 }
        let error = try await fixture.failure(source)
        #expect(error.kind == .fuel || (source.hasPrefix("load") && error.kind == .size))
        #expect(try await fixture.run("return 1") == [1])
    }

    @Test(arguments: endless.prefix(8))
    func timeEndsEveryLoop(_ source: String) async throws {
        let fixture = try hosted {
            $0.limits.fuel = nil
            $0.limits.luaTime = .milliseconds(200)
            $0.clock = SystemLuaClock()
        }
        let error = try await fixture.failure(source)
        #expect(error.kind == .deadline)
        #expect(error.where?.line == 1)
        #expect(try await fixture.run("return 1") == [1])
    }

    @Test func waitingCostsNoLuaTime() async throws {
        let fixture = try hosted { $0.limits.luaTime = .seconds(500) }
        async let results = fixture.run("task.sleep(1000) return 1")
        await fixture.clock.sleepers(atLeast: 1)
        fixture.clock.advance(by: .seconds(1000))
        #expect(try await results == [1])
        #expect(await fixture.state.usage.luaTime < .seconds(500))
    }

    /// Time budgets go by a virtual clock when the run does, and what host functions take is not Lua's time.
    @Test func aVirtualClockMeasuresLuaTime() async throws {
        let clock = VirtualClock()
        let fixture = try Fixture {
            $0.clock = clock
            $0.limits.fuel = nil
            $0.limits.luaTime = .seconds(10)
            $0.modules = [Self.work(clock)]
        }
        #expect(try await fixture.run("for i = 1, 50 do work.hard() end return 1") == [1])
        #expect(await fixture.state.usage.luaTime == .zero)
        async let failure = fixture.failure("work.started() while true do end")
        for await _ in Self.started.stream { break }
        clock.advance(by: .seconds(11))
        #expect(try await failure.kind == .deadline)
        #expect(await fixture.state.usage.luaTime > .seconds(10))
    }

    private static let started = AsyncStream.makeStream(of: Void.self)
    private static func work(_ clock: VirtualClock) -> HostModule {
        HostModule(
            "work",
            functions: [
                HostFunction(
                    "hard",
                    .synchronous { _, _ in
                        clock.advance(by: .seconds(100))
                        return []
                    }),
                HostFunction(
                    "started",
                    .synchronous { _, _ in
                        started.continuation.yield()
                        return []
                    }),
            ])
    }

    /// Functions of the host are busy for longer than the budget, which leaves room for a machine that is busy too.
    @Test(arguments: ["busy.plain()", "busy.direct()", "print('x')"])
    func synchronousHostFunctionsTakeNoLuaTime(_ call: String) async throws {
        let busy: @Sendable () -> Void = {
            let end = ContinuousClock.now + .milliseconds(25)
            while ContinuousClock.now < end {}
        }
        let fixture = try Fixture {
            $0.clock = SystemLuaClock()
            $0.limits.luaTime = .seconds(1)
            $0.print = { _ in busy() }
            $0.modules = [
                HostModule(
                    "busy",
                    functions: [
                        HostFunction(
                            "plain",
                            .synchronous { _, _ in
                                busy()
                                return []
                            }),
                        HostFunction("direct", .direct { _, _ throws(LuaError) in busy() }),
                    ])
            ]
        }
        #expect(try await fixture.run("for i = 1, 60 do \(call) for j = 1, 2000 do end end return 1") == [1])
        #expect(await fixture.state.usage.luaTime < .seconds(1))
        #expect(try await fixture.failure("while true do end").kind == .deadline)
    }

    @Test(arguments: [
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
        "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(100000) end) end",
        "local function f(n) return n == 0 and {} or { f(n - 1), f(n - 1) } end f(60)",
        "local s = 'x' while true do pcall(function() s = s .. s end) end",
    ])
    func memoryIsBounded(_ source: String) async throws {
        let fixture = try hosted { $0.limits.memory = 8 << 20 }
        let error = try await fixture.failure(source)
        #expect(error.kind == .memory)
        let fresh = try hosted { $0.limits.memory = 8 << 20 }
        #expect(try await fresh.run("return #('x'):rep(1000)") == [1000], "a fresh run works")
    }

    @Test func garbageIsNotUse() async throws {
        let fixture = try hosted { $0.limits.memory = 4 << 20 }
        #expect(try await fixture.run("for i = 1, 20000 do local s = ('x'):rep(1000) .. i end return 1") == [1])
    }

    @Test func aStateNeedsRoomForItsLibraries() {
        #expect(throws: LuaError.self) { try hosted { $0.limits.memory = 1000 } }
    }

    @Test(arguments: [
        "return ('x'):rep(1e9)", "return (''):rep(1 << 60)", "return ('x'):rep(1 << 60)",
        "return #string.rep('abc', 1 << 40, ',')",
        "table.move({}, 1, 1 << 40, 2)",
        "table.insert(setmetatable({}, { __len = function() return "
            + "1 << 60 end }), 1, 2)",
        "table.concat({}, '', 1, 1 << 60)", "print(('x'):rep(100000))",
    ])
    func oneCallCannotRunForLong(_ source: String) async throws {
        let fixture = try hosted()
        #expect(try await fixture.failure(source).kind == .size)
    }

    @Test(arguments: ["('x'):rep(2^31)", "('x'):rep(1 << 60)", "('abc'):rep(1 << 40, ',')", "(''):rep(1 << 60)"])
    func aTextThatIsTooLongIsNotAllocated(_ source: String) async throws {
        let fixture = try hosted()
        let before = await fixture.state.usage.memory
        #expect(try await fixture.failure("return " + source).kind == .size)
        #expect(await fixture.state.usage.memory < before + 20_000)
        #expect(await fixture.state.usage.fuel < 10_000)
    }

    @Test(arguments: [
        "local function f() return 1 + f() end f()",
        "local function f() return pcall(f) end return f()",
        "local t = setmetatable({}, { __index = function(t, k) return t[k] end }) return t.x",
        "local function f(n) return coroutine.wrap(f)(n + 1) end f(1)",
        "local s = ('('):rep(300) .. '1' .. (')'):rep(300) return load('return ' .. s)",
        "return load('local a = ' .. ('1 .. '):rep(100000) .. '1')",
        "local t = setmetatable({}, { __concat = function(a, b) return a .. b end }) return t .. t",
        "local t t = setmetatable({}, { __tostring = function() return tostring(t) end }) return tostring(t)",
    ])
    func deepRecursionIsAnError(_ source: String) async throws {
        let fixture = try hosted()
        _ = try? await fixture.run(source)
        #expect(try await fixture.run("return 1") == [1])
    }
}
