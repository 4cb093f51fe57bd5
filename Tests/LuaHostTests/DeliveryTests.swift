import LuaHost
import Synchronization
import Testing

/// The order in which waits end goes through one place, where it can be recorded and dictated.
@Suite struct DeliveryTests {
    /// Calls that end when the test says so, by the name they were given.
    final class Gates: Sendable {
        private struct State {
            var waiting: [String: CheckedContinuation<Void, Never>] = [:]
            var watcher: (count: Int, continuation: CheckedContinuation<Void, Never>)?
        }
        private let state = Mutex(State())

        var function: HostFunction {
            HostFunction(
                "gate",
                .asynchronous { [self] _, arguments in
                    await pass(arguments.first?.text ?? "")
                    return arguments
                })
        }

        private func pass(_ name: String) async {
            await withCheckedContinuation { continuation in
                let watcher = state.withLock { state -> CheckedContinuation<Void, Never>? in
                    state.waiting[name] = continuation
                    guard let watcher = state.watcher, state.waiting.count >= watcher.count else { return nil }
                    state.watcher = nil
                    return watcher.continuation
                }
                watcher?.resume()
            }
        }

        /// Returns when that many calls wait.
        func waiting(_ count: Int) async {
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    if state.waiting.count >= count { return true }
                    state.watcher = (count, continuation)
                    return false
                }
                if isThere { continuation.resume() }
            }
        }

        func open(_ name: String) { state.withLock { $0.waiting.removeValue(forKey: name) }?.resume() }
    }

    static let racing = """
        local winner = task.race {
            function() return "a", gate("a") end, function() return "b", gate("b") end, function() return "c", gate("c") end,
        }
        print("winner", winner)
        local log = {}
        task.map({ "d", "e", "f" }, function(name)
            local got = gate(name)
            log[#log + 1] = got
            print("got", got, #log)
            task.sleep(0)
            print("slept", name)
        end)
        return winner, table.concat(log)
        """

    /// Runs the script with its calls ending in the given order, each when the one before has arrived.
    private func run(_ tape: DeliveryTape, _ first: [String], _ second: [String]) async throws -> ([LuaValue], [String])
    {
        let gates = Gates()
        let fixture = try Fixture {
            $0.globals = [gates.function]
            $0.deliveryOrder = tape
            $0.clock = SystemLuaClock()
        }
        async let results = fixture.run(Self.racing)
        await gates.waiting(3)
        for name in first { await open(name, gates, fixture) }
        await gates.waiting(3)
        for name in second { await open(name, gates, fixture) }
        return (try await results, fixture.lines.all)
    }

    /// Lets a call end; it goes on where the state answers, and before.
    private func open(_ name: String, _ gates: Gates, _ fixture: Fixture) async {
        gates.open(name)
        _ = await fixture.state.usage
    }

    @Test func aRunIsRepeatedWhateverOrderTheWorldHas() async throws {
        let recorded = DeliveryTape()
        let (results, lines) = try await run(recorded, ["b", "c", "a"], ["f", "d", "e"])
        #expect(results == ["b", "fde"])
        for order in [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]] {
            let tape = DeliveryTape(playing: recorded.deliveries)
            let later = order.map { ["a": "d", "b": "e", "c": "f"][$0] ?? $0 }
            let (again, sameLines) = try await run(tape, order, later)
            #expect(again == results)
            #expect(sameLines == lines)
            #expect(tape.deliveries == recorded.deliveries)
        }
        let other = DeliveryTape()
        let (different, _) = try await run(other, ["a", "b", "c"], ["d", "e", "f"])
        #expect(different == ["a", "def"], "without a recording the world decides")
    }

    @Test func eachKindOfDeliveryIsTold() async throws {
        let tape = DeliveryTape()
        let fixture = try hosted {
            $0.deliveryOrder = tape
            $0.resolver = SpawnTests.Sources(texts: ["slow": "host.wait() return 1"])
        }
        async let results = fixture.run(
            """
            task.map({ 1, 2 }, function() require "slow" end)
            task.scope(function() task.spawn(host.wait):wait() end)
            task.sleep(1)
            pcall(task.timeout, 5, function() task.sleep(100) end)
            return 1
            """)
        await fixture.clock.sleepers(atLeast: 1)
        fixture.clock.advance(by: .seconds(1))
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(5))
        #expect(try await results == [1])
        #expect(
            tape.deliveries.map(\.description) == [
                "1 0.1.1#1 host.wait result", "2 0.1.2#0 require module", "3 0#1 task.map scope",
                "4 0.2.2#1 host.wait result", "5 0.2.1#0 task:wait branch", "6 0#2 task.scope scope",
                "7 0#3 task.sleep timer", "8 0#4 task.timeout time-limit", "9 0.3.1#1 task.sleep cancellation",
                "10 0#4 task.timeout scope",
            ])
    }

    /// All timers are due at once: the time limit's arrival outlives its scope, and the branch that opened the scope.
    @Test func aTimeLimitMayArriveAfterTheBranchThatSetItHasEnded() async throws {
        let fixture = try hosted()
        async let results = fixture.run(
            """
            return #task.all {
                function() task.timeout(2, function() task.sleep(1) end) return 1 end,
                function() task.sleep(100) return 2 end,
            }
            """)
        await fixture.clock.sleepers(atLeast: 1)
        fixture.clock.advance(by: .seconds(200))
        #expect(try await results == [2])
    }

    @Test func theEndOfARunIsTold() async throws {
        let tape = DeliveryTape()
        let fixture = try Fixture { $0.deliveryOrder = tape }
        let run = Task { try await fixture.run("task.all { function() task.sleep(9) end }") }
        await fixture.clock.sleepers(atLeast: 1)
        run.cancel()
        _ = await run.result
        #expect(
            tape.deliveries.map(\.description) == [
                "1 0#0  ending", "2 0.1.1#1 task.sleep cancellation", "3 0#1 task.all scope",
            ])
    }

    @Test func aRunThatTakesAnotherPathIsEnded() async throws {
        let tape = DeliveryTape(playing: [
            Delivery(.init(task: TaskPath([0, 1, 2]), ordinal: 3), .result, function: "host.wait", sequence: 1)
        ])
        let fixture = try hosted { $0.deliveryOrder = tape }
        let error = try await fixture.failure("task.all { host.wait, function() pcall(task.sleep, 50) end }")
        #expect(error.kind == "diverged")
        #expect(error.message.contains("0.1.2#3"))
        #expect(error.message.contains("0.1.1#1"))
        #expect(fixture.clock.sleeperCount == 0)
    }

    /// A timer that won a race wins it again, however late it is.
    @Test func aTimerThatWonWinsAgain() async throws {
        let script = "return task.race { function() task.sleep(1) return 'timer' end, function() return gate('a') end }"
        let recorded = DeliveryTape()
        let fixture = try Fixture {
            $0.globals = [
                HostFunction(
                    "gate",
                    .asynchronous { context, _ in
                        try await context.clock.sleep(for: .seconds(9))
                        return []
                    })
            ]
            $0.deliveryOrder = recorded
        }
        async let first = fixture.run(script)
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(1))
        #expect(try await first == ["timer"])
        let again = try Fixture {
            $0.globals = [HostFunction("gate", .asynchronous { _, a in a })]
            $0.deliveryOrder = DeliveryTape(playing: recorded.deliveries)
        }
        async let second = again.run(script)
        await again.clock.sleepers(atLeast: 1)
        again.clock.advance(by: .seconds(1))
        #expect(try await second == ["timer"])
    }

    @Test(arguments: ["0#0", "0.1.2#30"])
    func namesOfWaitsCanBeWrittenDown(_ text: String) { #expect(DeliveryID(text)?.description == text) }

    @Test(arguments: ["", "0", "0#", "#1", "0..1#1", "0.x#1", "0#-1", "0#1#2"])
    func otherTextsAreNoNames(_ text: String) { #expect(DeliveryID(text) == nil) }
}
