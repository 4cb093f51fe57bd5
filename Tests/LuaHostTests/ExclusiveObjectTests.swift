import LuaHost
import Testing

/// One handle used by two coroutines at once: served, unless its type says that an object serves one call at a time.
@Suite struct ExclusiveObjectTests {
    private func fixture(isExclusive: Bool, _ change: (inout LuaConfiguration) -> Void = { _ in }) throws -> Fixture {
        try Fixture {
            $0.modules = [testModule]
            $0.objectTypes = [
                ObjectType(
                    "vm",
                    methods: [
                        HostFunction(
                            "copy",
                            .asynchronous { context, arguments in
                                try await context.clock.sleep(for: .seconds(1))
                                return [LuaValue("copied \(arguments[0].object?.id ?? "")")]
                            }),
                        HostFunction("name", .synchronous { _, arguments in [LuaValue(arguments[0].object?.id)] }),
                        HostFunction(
                            "lose",
                            .asynchronous { _, _ in
                                await Task.yield()
                                throw LuaError("lost", "the link is lost")
                            }),
                    ], fields: [HostFunction("status", .synchronous { _, _ in ["running"] })],
                    isExclusive: isExclusive)
            ]
            change(&$0)
        }
    }

    private static let twice = """
        local vm = host.vm("a")
        return task.all {
            function() return vm:copy() end,
            function()
                local ok, e = pcall(vm.copy, vm)
                return { ok, e.kind or e, e.message or "", e.where or "", e.retryable or false }
            end,
        }
        """

    @Test func anyOtherObjectServesBoth() async throws {
        let fixture = try fixture(isExclusive: false)
        async let results = fixture.run(
            "local vm = host.vm('a') return task.map({ 1, 2 }, function() return vm:copy() end)")
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(1))
        #expect(try await results == [["copied a", "copied a"]])
    }

    @Test func theSecondCallIsToldOfTheFirst() async throws {
        let fixture = try fixture(isExclusive: true)
        async let results = fixture.run(Self.twice)
        await fixture.clock.sleepers(atLeast: 1)
        fixture.clock.advance(by: .seconds(1))
        let branches = try #require(try await results.first?.table).array
        #expect(branches.first == "copied a")
        let refusal = try #require(branches.last?.table).array
        #expect(refusal.prefix(3) == [false, "busy", "vm:copy: vm<a> is busy with vm:copy (test.lua:3)"])
        #expect(refusal.last == true)
    }

    /// Another object, fields and calls one after the other are not concerned; a failed or cancelled call frees it.
    @Test func itIsFreeOnceTheCallHasEnded() async throws {
        let fixture = try fixture(isExclusive: true) { $0.clock = SystemLuaClock() }
        let source = """
            local a, b = host.vm("a"), host.vm("b")
            local out = task.all { function() return (pcall(a.lose, a)) end, function() return b:name() .. a.status end }
            pcall(task.timeout, 0, function() a:copy() end)
            return out, a:name(), (pcall(a.lose, a)), (pcall(a.lose, a)), select(2, pcall(a.lose, a)).kind
            """
        #expect(try await fixture.run(source) == [[false, "brunning"], "a", false, false, "lost"])
    }

    @Test func twoCoroutinesOfOneTaskCannotCallAtOnce() async throws {
        // The first waits for the host, and with it the task: nobody is left to call.
        let fixture = try fixture(isExclusive: true) { $0.clock = SystemLuaClock() }
        let source = """
            local vm = host.vm("a")
            local function lose() return select(2, pcall(vm.lose, vm)).kind end
            local first, second = coroutine.wrap(lose), coroutine.wrap(lose)
            return first(), second()
            """
        #expect(try await fixture.run(source) == ["lost", "lost"])
    }
}
