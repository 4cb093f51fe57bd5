import LuaHost
import Testing

/// What many tasks cost that wait, or are cancelled, grows with their number and not with its square.
@Suite(.serialized) struct ManySleepersTests {
    /// The processor's time on the thread of Lua.
    private func time(_ count: Int, _ body: String) async throws -> Duration {
        let fixture = try hosted { $0.resolver = Slow() }
        async let run = fixture.run(
            """
            local n, ended = ..., 0
            local list = {}
            for i = 1, n do list[i] = i end
            \(body)
            return 1
            """, arguments: [LuaValue(count)])
        await fixture.clock.sleepers(atLeast: count)
        let before = await fixture.state.processorTime()
        fixture.clock.advance(by: .seconds(1))
        #expect(try await run == [1])
        return await fixture.state.processorTime() - before
    }

    struct Slow: ModuleResolver {
        func module(named name: String) -> ModuleSource? {
            ModuleSource(chunk: "slow.lua", source: Array("task.sleep('1h') return 1".utf8))
        }
    }

    static let bodies = [
        // Each has another deadline, and the last ones are cancelled first.
        "pcall(task.timeout, 1, function() task.map(list, function(i) task.sleep(3 * n - i) end) end)",
        "pcall(task.timeout, 1, function() task.map(list, function(i) task.sleep('1h') end) end)",
    ]

    @Test(arguments: bodies)
    func cancellingThemIsLinear(_ body: String) async throws {
        _ = try await time(100, body)
        let few = try await time(1000, body)
        let many = try await time(16000, body)
        #expect(many < few * 64, "16 times as many: \(few) and \(many)")
    }
}
