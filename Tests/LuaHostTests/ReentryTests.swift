import LuaHost
import Synchronization
import Testing

/// A host function that calls its own state and waits for it would wait for itself.
@Suite(.timeLimit(.minutes(1))) struct ReentryTests {
    /// The state that a function is to call; set once it is made, and not kept alive by it.
    final class Target: Sendable {
        private struct Weak { weak var state: LuaState? }
        private let box = Mutex(Weak())
        var state: LuaState? {
            get { box.withLock { $0.state } }
            set { box.withLock { $0.state = newValue } }
        }
    }

    static let ways: [(name: String, call: @Sendable (LuaState) async throws -> LuaValue)] = [
        ("run", { LuaValue(try await $0.run("return 'inner'", chunk: "inner.lua").first?.text) }),
        (
            "evaluate",
            { state in
                switch await state.evaluate("'inner'") {
                case .finished(let values, _): return values.first ?? .nil
                case .failed(let error): throw error
                case .incomplete: return .nil
                }
            }
        ),
        (
            "check",
            { state in
                try await state.check("return", chunk: "inner.lua")
                return "inner"
            }
        ),
        (
            "a child task",
            { state in
                async let value = state.run("return 'inner'", chunk: "inner.lua")
                return LuaValue(try await value.first?.text)
            }
        ),
    ]

    private func fixture(_ target: Target, _ change: (inout LuaConfiguration) -> Void = { _ in }) throws -> Fixture {
        let functions = Self.ways.map { way in
            HostFunction(
                way.name.replacing(" ", with: "_"),
                .asynchronous { _, _ in
                    guard let state = target.state else { return [] }
                    return [try await way.call(state)]
                })
        }
        return try Fixture {
            $0.modules = [HostModule("inner", functions: functions)]
            change(&$0)
        }
    }

    @Test(arguments: ways.map(\.name))
    func itsOwnStateIsRefused(_ name: String) async throws {
        let target = Target()
        let fixture = try fixture(target)
        target.state = fixture.state
        let function = name.replacing(" ", with: "_")
        let error = try await fixture.failure("inner.\(function)()")
        #expect(error.kind == .host)
        #expect(
            error.message
                == "inner.\(function): its state is busy with the run that waits for it, so it would wait for itself")
        #expect(error.hint?.contains("LuaState of its own") == true)
        #expect(try await fixture.run("return 1") == [1])
    }

    @Test(arguments: ways.map(\.name))
    func anotherStateServesIt(_ name: String) async throws {
        let target = Target()
        let fixture = try fixture(target)
        let other = try LuaState()
        target.state = other
        #expect(try await fixture.run("return inner.\(name.replacing(" ", with: "_"))()") == ["inner"])
    }

    @Test func theWayThroughAnotherStateIsSeenToo() async throws {
        let first = Target()
        let b = try fixture(first)
        // The function of this state runs a script in b, whose function runs one in this state.
        let fixture = try Fixture {
            $0.globals = [
                HostFunction("through", .asynchronous { _, _ in try await b.run("return inner.run()") })
            ]
        }
        first.state = fixture.state
        let error = try await fixture.failure("through()")
        #expect(error.message.contains("it would wait for itself"))
    }

    @Test func aDetachedTaskHasItsTurnAfterwards() async throws {
        let target = Target()
        let (results, continuation) = AsyncStream.makeStream(of: [LuaValue].self)
        let fixture = try Fixture {
            $0.globals = [
                HostFunction(
                    "later",
                    .asynchronous { _, _ in
                        Task.detached {
                            if let state = target.state {
                                continuation.yield((try? await state.run("return 'later'", chunk: "later.lua")) ?? [])
                            }
                        }
                        return []
                    })
            ]
        }
        target.state = fixture.state
        _ = try await fixture.run("later()")
        for await values in results {
            #expect(values == ["later"])
            break
        }
    }

    @Test func soIsOneWhoIsAskedAboutAnError() async throws {
        let target = Target()
        let fixture = try hosted {
            $0.onUncaught = { _, _ in
                guard let state = target.state else { return .fail }
                if case .failed(let error) = await state.evaluate("1") { return .value(LuaValue(error.message)) }
                return .fail
            }
        }
        target.state = fixture.state
        let text = try await fixture.run("return host.fail()").first?.text
        #expect(text?.contains("it would wait for itself") == true)
    }

    /// Cancelling a state that runs nothing ends nothing, then or later.
    @Test func cancellingAnIdleStateTellsOfNoEnding() async throws {
        let tape = DeliveryTape()
        let fixture = try hosted { $0.deliveryOrder = tape }
        _ = try await fixture.run("host.wait()")
        fixture.state.cancel()
        for _ in 1...200 {
            await Task.yield()
            _ = await fixture.state.usage
        }
        #expect(try await fixture.run("return host.wait(1)") == [1])
        #expect(!tape.deliveries.contains { $0.kind == .ending })
    }
}
