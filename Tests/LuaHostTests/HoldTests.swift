import LuaHost
import Synchronization
import Testing

/// Errors that nothing in the script would catch can be held before anything unwinds.
@Suite struct HoldTests {
    /// A host whose functions fail a number of times, and who answers in the order given.
    final class Host: Sendable {
        let failures: Mutex<Int>
        let answers: Mutex<[Resolution]>
        let asked = Mutex<[LuaError]>([])

        init(failures: Int, answers: [Resolution]) {
            self.failures = Mutex(failures)
            self.answers = Mutex(answers)
        }

        func attempt(_ arguments: [LuaValue]) throws(LuaError) -> [LuaValue] {
            let fails = failures.withLock { left in
                left -= 1
                return left >= 0
            }
            if fails { throw LuaError("busy", "not now") }
            return arguments
        }

        func answer(_ error: LuaError) -> Resolution {
            asked.withLock { $0.append(error) }
            return answers.withLock { $0.isEmpty ? .fail : $0.removeFirst() }
        }
    }

    private func fixture(_ host: Host) throws -> Fixture {
        try Fixture {
            $0.onUncaught = { error, _ in host.answer(error) }
            $0.globals = [
                HostFunction("now", .synchronous { _, a in try host.attempt(a) }),
                HostFunction(
                    "later",
                    .asynchronous { _, a in
                        await Task.yield()
                        return try host.attempt(a)
                    }),
                HostFunction(
                    "fast",
                    .direct { a, results throws(LuaError) in
                        for value in try host.attempt((0..<a.count).map { a.value($0 + 1) }) {
                            try results.write(value)
                        }
                    }),
            ]
        }
    }

    @Test(arguments: ["now", "later", "fast"])
    func aRetryMakesTheSameCallAgain(_ name: String) async throws {
        let host = Host(failures: 2, answers: [.retry, .retry])
        let fixture = try fixture(host)
        #expect(try await fixture.run("return \(name)('a', 2, { x = 1 })") == ["a", 2, ["x": 1]])
        let asked = host.asked.withLock { $0 }
        #expect(asked.map(\.kind) == ["busy", "busy"])
        #expect(asked.first?.where == SourcePosition(chunk: "test.lua", line: 1))
    }

    @Test(arguments: ["now", "later", "fast"])
    func aValueTakesThePlaceOfTheResult(_ name: String) async throws {
        let fixture = try fixture(Host(failures: 1, answers: [.value("instead")]))
        #expect(try await fixture.run("local x = \(name)() return x, \(name)(5)") == ["instead", 5])
    }

    @Test(arguments: ["now", "later", "fast"])
    func failUnwinds(_ name: String) async throws {
        let fixture = try fixture(Host(failures: 1, answers: [.fail]))
        let error = try await fixture.failure("\n\(name)()")
        #expect(error.kind == "busy")
        #expect(error.where?.line == 2)
    }

    /// Scripts, and how often the host is asked.
    static let guarded: [(String, Int)] = [
        ("pcall(CALL)", 0),
        ("xpcall(function() CALL() end, print)", 0),
        ("pcall(function() local f = coroutine.wrap(CALL) f() end)", 0),
        ("coroutine.resume(coroutine.create(CALL))", 0),
        ("pcall(task.all, { CALL })", 0),
        ("pcall(task.map, { 1 }, function() task.all { CALL } end)", 0),
        ("pcall(task.scope, function() task.spawn(CALL) end)", 0),
        ("pcall(print, 1) CALL()", 1),
        ("coroutine.wrap(CALL)()", 1),
        ("coroutine.wrap(function() coroutine.wrap(CALL)() end)()", 1),
        ("task.all { CALL }", 1),
        ("task.map({ 1 }, function() task.scope(function() task.spawn(CALL):wait() end) end)", 1),
        ("local c <close> = setmetatable({}, { __close = function() end }) CALL()", 1),
    ]

    @Test(arguments: guarded, ["now", "later", "fast"])
    func onlyWhatNothingWouldCatchIsHeld(_ row: (String, Int), _ name: String) async throws {
        let host = Host(failures: 1, answers: [.value(1)])
        let fixture = try fixture(host)
        _ = try await fixture.run(row.0.replacing("CALL", with: name))
        #expect(host.asked.withLock { $0.count } == row.1)
    }

    @Test func othersGoOnWhileACallIsHeld() async throws {
        let gate = AsyncStream.makeStream(of: Void.self)
        let fixture = try Fixture {
            $0.onUncaught = { _, _ in
                for await _ in gate.stream { break }
                return .value("released")
            }
            $0.globals = [
                HostFunction("broken", .synchronous { _, _ in throw LuaError("busy", "not now") }),
                HostFunction(
                    "release",
                    .synchronous { _, _ in
                        gate.continuation.yield()
                        return []
                    }),
            ]
        }
        let source = """
            return task.all { function() return broken() end, function() task.sleep(0) release() return "other" end }
            """
        async let results = fixture.run(source)
        await fixture.clock.sleepers(atLeast: 1)
        fixture.clock.advance(by: .zero)
        #expect(try await results == [["released", "other"]])
    }

    @Test func aRunWithAHeldCallCanBeCancelled() async throws {
        let reached = AsyncStream.makeStream(of: Void.self)
        let fixture = try Fixture {
            $0.onUncaught = { _, _ in
                reached.continuation.yield()
                try? await VirtualClock().sleep(for: .seconds(1))
                return .retry
            }
            $0.globals = [HostFunction("broken", .synchronous { _, _ in throw LuaError("busy", "not now") })]
        }
        let run = Task { try await fixture.run("broken()") }
        for await _ in reached.stream { break }
        run.cancel()
        let error = await #expect(throws: LuaError.self) { try await run.value }
        #expect(error?.kind == .cancelled || error?.kind == "busy")
    }
}
