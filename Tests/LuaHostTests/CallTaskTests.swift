import LuaHost
import Synchronization
import Testing

/// Calls that wait: the order in which their bodies begin, and what ends when one is cancelled.
@Suite(.timeLimit(.minutes(1))) struct CallTaskTests {
    /// Whether the Swift task of each call was cancelled when its body began.
    final class Log: Sendable {
        private let seen = Mutex<[Bool]>([])
        func note() {
            let isCancelled = Task.isCancelled
            seen.withLock { $0.append(isCancelled) }
        }
        var all: [Bool] { seen.withLock { $0 } }
    }

    private func fixture(_ log: Log, _ change: (inout LuaConfiguration) -> Void = { _ in }) throws -> Fixture {
        try Fixture {
            $0.clock = SystemLuaClock()
            $0.globals = [
                HostFunction(
                    "wait",
                    .asynchronous { _, arguments in
                        log.note()
                        await Task.yield()
                        return arguments
                    }),
                HostFunction(
                    "hang",
                    .asynchronous { context, _ in
                        log.note()
                        try await context.clock.sleep(for: .seconds(3600))
                        return []
                    }),
            ]
            change(&$0)
        }
    }

    @Test func aLaterCallOfTheRowIsCancelledToo() async throws {
        let log = Log()
        let source = """
            local ok, e = pcall(task.timeout, 0.01, function() for i = 1, 20 do wait(i) end hang() end)
            return ok, e.kind, wait(7), wait(8)
            """
        #expect(try await fixture(log).run(source) == [false, "timeout", 7, 8])
        #expect(log.all.count == 23)
        #expect(log.all.allSatisfy { !$0 }, "what goes on is not cancelled")
    }

    /// Calls of several Lua tasks begin in the order in which they were made.
    @Test func callsBeginInTheOrderInWhichTheyWereMade() async throws {
        let order = Mutex<[String]>([])
        let fixture = try fixture(Log()) {
            $0.globals.append(
                HostFunction(
                    "step",
                    .asynchronous { context, arguments in
                        let name = arguments.first?.text ?? ""
                        order.withLock { $0.append(name) }
                        await Task.yield()
                        return arguments
                    }))
        }
        let source = """
            local calls = {}
            local function step_and_note(name) calls[#calls + 1] = name step(name) end
            task.map({ "a", "b", "c" }, function(name) for i = 1, 20 do step_and_note(name .. i) end end)
            return calls
            """
        let calls = try #require(try await fixture.run(source).first?.table).array.compactMap(\.text)
        #expect(order.withLock { $0 } == calls)
        #expect(calls.count == 60)
    }

    @Test func aRunThatIsCancelledEndsTheCallThatWaits() async throws {
        let log = Log()
        let fixture = try fixture(log)
        let run = Task { try await fixture.run("for i = 1, 10 do wait(i) end hang()") }
        while log.all.count < 11 { await Task.yield() }
        run.cancel()
        let result = await run.result
        #expect(throws: LuaError.self) { try result.get() }
        #expect(try await fixture.run("return wait(1)") == [1])
    }
}
