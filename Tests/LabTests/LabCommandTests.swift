import Testing

@testable import Lab

@Suite("Programs that the lab runs")
struct LabCommandTests {
    @Test("A program that takes too long is killed, and the error names it")
    func limit() async {
        let start = ContinuousClock.now
        let error = await #expect(throws: LabError.self) {
            try await Command(["sleep", "600"], limit: .milliseconds(50)).output()
        }
        #expect(error?.code == .timedOut)
        #expect(error?.message.contains("sleep 600") == true)
        #expect(ContinuousClock.now - start < .seconds(300))
    }

    @Test("A program that fails is quoted")
    func failure() async {
        let error = await #expect(throws: LabError.self) { try await Command(["ls", "/no/such/place"]).output() }
        #expect(error?.code == .commandFailed)
        #expect(error?.message.contains("No such file or directory") == true)
    }

    @Test("A program that is not installed is named with the cure")
    func missing() async {
        let error = await #expect(throws: LabError.self) { try await Command(["no-such-program"]).output() }
        #expect(error?.code == .missing)
        #expect(error?.hint == "run scripts/setup")
    }

    @Test(
        "A process's line is read whatever its program is called",
        arguments: [
            ("12 (sh) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 9 9", 12, "S", 777),
            ("12 (a) Z (b) Z 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 9 9", 12, "Z", 42),
        ] as [(String, Int32, Character, UInt64)])
    func statLine(_ line: String, pid: Int32, state: Character, start: UInt64) throws {
        let stat = try #require(ProcessStat(line: line[...]))
        #expect(stat.pid == pid && stat.state == state && stat.startTicks == start)
        #expect(stat.isDead == (state == "Z"))
    }

    @Test("A line that is no process's is refused", arguments: ["", "12 sh S 1", "x (sh) S 1 2 3", "12 (sh) S 1 2"])
    func noStatLine(_ line: String) {
        #expect(ProcessStat(line: line[...]) == nil)
    }
}
