import LuaHost
import Testing

/// The errors that the library `task` has from the host name the line of the call.
@Suite struct TaskPositionTests {
    static let calls = [
        "task.timeout({}, w)", "task.timeout('soon', w)", "task.all { w, w, w, w, w }", "task.race { w, w, w, w, w }",
        "task.map({ 1, 2, 3, 4, 5 }, w)", "task.scope(function() for _ = 1, 9 do task.spawn(w) end end)",
        "task.spawn(w)",
    ]

    @Test(arguments: calls)
    func theCallIsNamed(_ call: String) async throws {
        let fixture = try hosted { $0.limits.tasks = 5 }
        let error = try await fixture.failure("local w = host.wait\n\n" + call)
        #expect(error.where == SourcePosition(chunk: "test.lua", line: 3), "\(error)")
        #expect(
            try await fixture.run("local w = host.wait\nlocal ok, e = pcall(function() \(call) end) return ok, e.where")
                == [false, "test.lua:2"])
    }
}
