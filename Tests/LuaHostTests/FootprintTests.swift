import Foundation
import LuaHost
import Testing

/// What many tasks take that wait at once, measured in a process of its own: other tests take memory too.
@Suite struct FootprintTests {
    @Test func tenThousandSleepingTasksTakeLessThan200Megabytes() async {
        let child = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            try await FootprintTests.measure("task.sleep(1)")
        }
        print(child.map { String(decoding: $0.standardErrorContent, as: UTF8.self) } ?? "not measured")
    }

    @Test func tenThousandWaitingHostCallsTakeLessThan200Megabytes() async {
        let child = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
            try await FootprintTests.measure("host.pause()")
        }
        print(child.map { String(decoding: $0.standardErrorContent, as: UTF8.self) } ?? "not measured")
    }

    static let pause = HostModule(
        "host",
        functions: [
            HostFunction(
                "pause",
                .asynchronous { context, _ in
                    try await context.clock.sleep(for: .seconds(1))
                    return []
                })
        ])

    /// Ends the process with a failure when it is too much.
    static func measure(_ wait: String) async throws {
        let fixture = try hosted { $0.modules = [pause] }
        let before = residentBytes()
        async let results = fixture.run(
            """
            local list = {}
            for i = 1, 10000 do list[i] = i end
            return #task.map(list, function(i) \(wait) return i end)
            """)
        await fixture.clock.sleepers(atLeast: 10_000)
        let usage = await fixture.state.usage
        let grown = residentBytes() - before
        let line = "10,000 waiting tasks (\(wait)): Lua \(usage.memory >> 20) MB, process \(grown >> 20) MB more\n"
        FileHandle.standardError.write(Data(line.utf8))
        fixture.clock.advance(by: .seconds(1))
        guard try await results == [10_000], usage.tasks == 10_001, before > 0, grown < 200_000_000 else { exit(1) }
    }

    private static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(getpagesize()) : 0
    }
}
