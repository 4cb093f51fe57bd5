import LuaHost
import Testing

@testable import RecoveryScripting

@Suite("Errors of the language say what to do here")
struct ErrorHintTests {
    @Test(
        "What is not there is told with what is",
        arguments: [
            ("recovery.vault().statsu", "help(\"vault\") lists what it has"),
            ("task.frobnicate()", "help(\"task\") lists what it has"),
            ("print(qqqqqqqq)", "help() lists what there is"),
        ])
    func undefined(script: String, hint: String) async throws {
        let error = try #require(try await Bench().run("local x = \(script)").error)
        #expect(error.kind == .undefined && error.hint?.contains(hint) == true, "\(error)")
    }

    @Test("A nearest name that the error has already is not covered up by a hint")
    func nearest() async throws {
        let error = try #require(try await Bench().run("recovery.vualt()").error)
        #expect(error.message.contains("did you mean 'vault'") && error.hint == nil, "\(error)")
    }

    @Test("A run that has used up its instructions says how many those were, and how to give it more")
    func fuel() async throws {
        let limits = try ScriptLimits.reading(instructions: 2_000_000, time: nil, memory: nil)
        let error = ErrorHints.explained(LuaError(.fuel, "used up"), limits)
        #expect(error.message == "the script has used up its budget of 2 000 000 Lua instructions")
        #expect(error.hint?.contains("--instructions 20000000") == true)
        let time = ErrorHints.explained(LuaError(.deadline, "used up"), limits)
        #expect(time.message.contains("60 s") && time.hint?.contains("--lua-time 600s") == true)
        let memory = ErrorHints.explained(LuaError(.memory, "used up"), limits)
        #expect(memory.message.contains("256 MiB") && memory.hint?.contains("--memory 1024MiB") == true)
    }

    @Test("Limits are read as durations and sizes, and what is none is refused")
    func limits() throws {
        let limits = try ScriptLimits.reading(instructions: nil, time: "2min", memory: "1GiB")
        #expect(limits.luaTime == .seconds(120) && limits.memory == 1 << 30)
        #expect(limits.fuel == LuaConfiguration.Limits().fuel)
        for (instructions, time, memory) in [(0 as UInt64?, nil, nil), (nil, "soon", nil), (nil, nil, "12 apples")] {
            #expect(throws: LuaError.self) {
                try ScriptLimits.reading(instructions: instructions, time: time, memory: memory)
            }
        }
    }
}
