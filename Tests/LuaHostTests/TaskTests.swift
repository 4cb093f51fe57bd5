import LuaHost
import Synchronization
import Testing

@Suite struct TaskTests {
    @Test func fiftySleepsTakeAsLongAsOne() async throws {
        let fixture = try Fixture()
        let before = fixture.clock.now
        async let results = fixture.run(
            """
            local list = {}
            for i = 1, 50 do list[i] = i end
            return task.map(list, function(i) task.sleep("30s") return i * 2 end)
            """)
        await fixture.clock.sleepers(atLeast: 50)
        fixture.clock.advance(by: .seconds(30))
        #expect(try await results == [.list((1...50).map { LuaValue($0 * 2) })])
        #expect(fixture.clock.now - before == .seconds(30))
    }

    @Test func mapRunsNoMoreThanItsLimit() async throws {
        let high = Atomic(0)
        let running = Atomic(0)
        let fixture = try Fixture {
            $0.modules = [
                HostModule(
                    "host",
                    functions: [
                        HostFunction(
                            "work",
                            .asynchronous { _, a in
                                let now = running.wrappingAdd(1, ordering: .relaxed).newValue
                                high.max(now, ordering: .relaxed)
                                await Task.yield()
                                running.wrappingSubtract(1, ordering: .relaxed)
                                return a
                            })
                    ])
            ]
        }
        let source = """
            local list = {}
            for i = 1, 40 do list[i] = "v" .. i end
            local out = task.map(list, { limit = 4 }, function(v, i) return host.work(v .. "/" .. i) end)
            return #out, out[1], out[40]
            """
        #expect(try await fixture.run(source) == [40, "v1/1", "v40/40"])
        #expect((1...4).contains(high.load(ordering: .relaxed)))
    }

    @Test func allGivesResultsInOrder() async throws {
        let source = """
            return task.all {
                function() host.wait() host.wait() host.wait() return "a" end,
                function() return "b" end,
                function() host.wait() return { "c" } end,
            }
            """
        #expect(try await hosted().run(source) == [["a", "b", ["c"]]])
    }

    @Test func anEmptyListGivesAnEmptyList() async throws {
        #expect(try await hosted().run("return task.all {}, task.map({}, print)") == [[], []])
    }

    @Test func aFailingBranchCancelsItsSiblings() async throws {
        let fixture = try hosted()
        let source = """
            local log = {}
            local ok, e = pcall(task.all, {
                function()
                    local guard <close> = setmetatable({}, { __close = function(_, why) log[#log + 1] = why.kind end })
                    pcall(task.sleep, 1000)
                    log[#log + 1] = "went on"
                end,
                function() host.wait() error({ kind = "mine", message = "enough" }) end,
            })
            return ok, e.kind, log
            """
        #expect(try await fixture.run(source) == [false, "mine", ["cancelled"]])
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test func aBranchMayRaiseNil() async throws {
        #expect(try await hosted().run("return pcall(task.all, { function() error(nil) end })") == [false, nil])
    }

    @Test func nestedScopesAreCancelledToo() async throws {
        let fixture = try hosted()
        let source = """
            return pcall(task.all, {
                function() task.all { function() task.sleep(100) end, function() task.sleep(200) end } end,
                function() host.wait() host.wait_and_fail() end,
            })
            """
        #expect(try await fixture.run(source).first == false)
        #expect(fixture.clock.sleeperCount == 0)
        #expect(await fixture.state.usage.tasks == 0)
    }

    @Test func theFirstToEndWinsARace() async throws {
        let fixture = try hosted()
        let source = """
            return task.race { function() task.sleep(100) return "slow" end, function() return "quick", host.wait(2) end }
            """
        #expect(try await fixture.run(source) == ["quick", 2])
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test func timeoutGivesResultsInTime() async throws {
        let fixture = try hosted()
        #expect(try await fixture.run("return task.timeout('5s', function() return host.wait(1, 2) end)") == [1, 2])
    }

    @Test func timeoutEndsWhatTakesTooLong() async throws {
        let fixture = try Fixture()
        async let results = fixture.run(
            """
            local ok, e = pcall(task.timeout, "5s", function() while true do pcall(task.sleep, 1000) end end)
            return ok, e.kind, e.message
            """)
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(5))
        #expect(try await results == [false, "timeout", "not done within 5.0 s"])
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test(arguments: [
        ("task.all(5)", "task.all: expected a list, got number"),
        ("task.all { 5 }", "task.all: item 1 is not a function, but a number"),
        ("task.map({ 1 }, { limits = 3 }, print)", "task.map: unknown option 'limits'; the only one is 'limit'"),
        ("task.map({ 1 }, { limit = 0 }, print)", "task.map: 'limit' must be an integer from 1"),
        ("task.map({ 1 })", "task.map: expected a function, got nil"),
        ("task.race {}", "task.race: the list is empty"),
    ])
    func wrongArgumentsAreNamed(_ source: String, _ message: String) async throws {
        let error = try await hosted().failure(source)
        #expect(error.kind == .argument)
        #expect(error.message == message)
    }

    @Test func aWrongDurationIsNamed() async throws {
        #expect(try await hosted().failure("task.sleep('soon')").kind == .argument)
        #expect(try await hosted().failure("task.timeout('soon', print)").message.contains("\"soon\""))
    }

    @Test func cancellingARunCancelsItsWaits() async throws {
        let fixture = try Fixture()
        let run = Task {
            try await fixture.run(
                "task.all { function() while true do pcall(task.sleep, 10) end "
                    + "end, function() task.sleep(9) end }")
        }
        await fixture.clock.sleepers(atLeast: 2)
        run.cancel()
        let result = await run.result
        #expect(throws: LuaError.self) { try result.get() }
        #expect((try? result.get()) == nil)
        if case .failure(let error) = result { #expect((error as? LuaError)?.kind == .cancelled) }
        #expect(fixture.clock.sleeperCount == 0)
        #expect(try await fixture.run("return 1") == [1], "the state works on")
    }

    @Test func aCancelledWaitMayCarryItsOwnError() async throws {
        let fixture = try Fixture {
            $0.objectTypes = [ObjectType("job")]
            $0.modules = [
                HostModule(
                    "host",
                    functions: [
                        HostFunction(
                            "operation",
                            .asynchronous { context, _ in
                                do { try await context.clock.sleep(for: .seconds(1000)) } catch {
                                    throw LuaError(
                                        .cancelled, "detached", object: LuaObject(type: "job", id: "7"))
                                }
                                return []
                            })
                    ])
            ]
        }
        async let results = fixture.run(
            """
            local seen
            pcall(task.timeout, 5, function()
                local c <close> = setmetatable({}, { __close = function(_, e) seen = tostring(e.object) end })
                host.operation()
            end)
            return seen
            """)
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(5))
        #expect(try await results == ["job<7>"])
    }

    @Test func deliveriesAreToldInOrder() async throws {
        let tape = DeliveryTape()
        let fixture = try hosted {
            $0.deliveryOrder = tape
        }
        _ = try await fixture.run("host.wait() host.add(1, 1) task.all { function() host.wait() end } host.wait()")
        #expect(
            tape.deliveries.map(\.description) == [
                "1 0#1 host.wait result", "2 0.1.1#1 host.wait result", "3 0#3 task.all scope",
                "4 0#4 host.wait result",
            ])
    }

    @Test func tenThousandTasksWaitAtOnce() async throws {
        let fixture = try Fixture()
        async let results = fixture.run(
            """
            local list = {}
            for i = 1, 10000 do list[i] = i end
            return #task.map(list, function(i) task.sleep(1) return i end)
            """)
        await fixture.clock.sleepers(atLeast: 10_000)
        let memory = await fixture.state.usage.memory
        #expect(memory < 60_000_000)
        fixture.clock.advance(by: .seconds(1))
        #expect(try await results == [10_000])
    }
}
