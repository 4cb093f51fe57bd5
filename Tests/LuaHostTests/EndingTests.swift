import LuaHost
import Synchronization
import Testing

/// How runs and tasks end that are cancelled or have used up a budget.
@Suite struct EndingTests {
    static let closer = """
        local function closer(name, work)
            return setmetatable({}, { __close = function(_, why)
                if work then work() end
                print(name, type(why) == "userdata" and why.kind or tostring(why))
            end })
        end

        """

    @Test func closeHandlersRunWhenARunHasUsedUpItsBudget() async throws {
        let fixture = try Fixture { $0.limits.fuel = 200_000 }
        let error = try await fixture.failure(
            Self.closer + """
                local a <close> = closer("outer")
                pcall(function()
                    local b <close> = closer("inner", function() return pcall(error, "caught") end)
                    while true do end
                end)
                print("went on")
                """)
        #expect(error.kind == .fuel)
        #expect(fixture.lines.all == ["inner\tfuel", "outer\tfuel"])
        #expect(try await fixture.run("return 1") == [1])
    }

    @Test func closeHandlersOfACoroutineRunAsWell() async throws {
        let fixture = try Fixture { $0.limits.fuel = 200_000 }
        let error = try await fixture.failure(
            Self.closer + """
                local f = coroutine.wrap(function()
                    local b <close> = closer("in the coroutine")
                    while true do end
                end)
                f()
                """)
        #expect(error.kind == .fuel)
        #expect(fixture.lines.all == ["in the coroutine\tfuel"])
    }

    @Test(arguments: ["while true do end", "while true do pcall(error) end", "return string.rep('x', 1e9)"])
    func closeHandlersHaveABudgetOfTheirOwn(_ loop: String) async throws {
        let fixture = try Fixture {
            $0.limits.fuel = 100_000
            $0.limits.closingFuel = 50_000
        }
        let error = try await fixture.failure(
            Self.closer + """
                local a <close> = closer("outer")
                local b <close> = closer("endless", function() \(loop) end)
                while true do end
                """)
        #expect(error.kind == .fuel || error.kind == .size)
        #expect(await fixture.state.usage.fuel < 300_000)
        #expect(try await fixture.run("return 1") == [1], "the state works on")
    }

    @Test func aCancelledTaskClosesUnderABudget() async throws {
        let fixture = try hosted { $0.limits.closingFuel = 50_000 }
        let source =
            Self.closer + """
                local ok, e = pcall(task.all, {
                    function()
                        local a <close> = closer("fine")
                        local b <close> = closer("endless", function() while true do pcall(error) end end)
                        task.sleep(1000)
                    end,
                    function() host.wait() error({ kind = "mine", message = "enough" }) end,
                })
                return ok, e.kind
                """
        #expect(try await fixture.run(source) == [false, "mine"])
        #expect(await fixture.state.usage.fuel < 500_000)
    }

    @Test func aBranchThatIsCancelledBeforeItStartsDoesNotRun() async throws {
        let fixture = try hosted()
        let source = """
            local ok = pcall(task.all, { function() error("at once") end, function() print("started") end })
            return ok
            """
        #expect(try await fixture.run(source) == [false])
        #expect(fixture.lines.all.isEmpty)
    }

    /// An operation that goes on when its wait is cancelled, and says which job it is.
    static let operation = HostFunction(
        "operation",
        .asynchronous { context, arguments in
            do {
                try await context.clock.sleep(for: .seconds(3600))
                return []
            } catch {
                var error = LuaError(.cancelled, "the job goes on", object: LuaObject(type: "vm", id: "job-7"))
                error.value = ["job": 7, "name": arguments.first ?? nil]
                throw error
            }
        })

    private func operating() throws -> Fixture {
        try hosted { $0.globals = [Self.operation] }
    }

    @Test func aTimeLimitTellsWhatACancelledWaitLeft() async throws {
        let fixture = try operating()
        async let results = fixture.run(
            """
            local ok, e = pcall(task.timeout, "5s", function() pcall(operation, "x") print("went on") end)
            return ok, e.kind, e.cause.kind, tostring(e.cause.object), e.cause.value.job
            """)
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(5))
        #expect(try await results == [false, "timeout", "cancelled", "vm<job-7>", 7])
        #expect(fixture.lines.all.isEmpty)
    }

    @Test(arguments: [
        "operation('x')", "task.all { function() operation('x') end, function() task.sleep(9999) end }",
        "pcall(function() coroutine.wrap(function() operation('x') end)() end)",
    ])
    func aCancelledRunTellsWhatItLeft(_ source: String) async throws {
        let fixture = try operating()
        let run = Task { try await fixture.run(source) }
        await fixture.clock.sleepers(atLeast: source.hasPrefix("task.all") ? 2 : 1)
        run.cancel()
        let error = await #expect(throws: LuaError.self) { try await run.value }
        #expect(error?.kind == .cancelled)
        #expect(error?.object == LuaObject(type: "vm", id: "job-7"))
        #expect(error?.value?.table?["job"] == 7)
    }

    @Test func aCloseHandlerSeesWhatACancelledWaitLeft() async throws {
        let fixture = try operating()
        async let results = fixture.run(
            """
            local seen
            pcall(task.timeout, 5, function()
                local guard <close> = setmetatable({}, { __close = function(_, e) seen = e.value.name end })
                operation("orders")
            end)
            return seen
            """)
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(5))
        #expect(try await results == ["orders"])
    }
}
