import LuaHost
import Testing

@testable import RecoveryScripting

@Suite("Values in the journal")
struct JournalValueTests {
    static let values: [LuaValue] = [
        .nil, true, false, 0, .integer(.min), .integer(.max), 1.5, .number(-0.0), .number(.infinity), "text", "",
        "null", "\n\"\u{0}ü", .string(LuaString(bytes: [0xff, 0, 0x80])), .object(LuaObject(type: "vm", id: "a/b")),
        .function(LuaFunction(id: 7, hostName: "task.map")), [1, "two", [3.0, .nil, true]],
        .table(LuaTable(["b": 1, "a": ["x": [1, 2]]])),
    ]

    @Test("Each comes back as it was", arguments: values)
    func comesBack(_ value: LuaValue) throws {
        let entry = JournalEntry.finished(
            .init(step: "0#1", function: "f", arguments: "", values: [JournalValue(value)]))
        let text = try entry.text
        #expect(!text.contains("\n"))
        #expect(try JournalEntry(text[...]) == entry)
    }

    @Test("Not a number comes back as one")
    func notANumber() throws {
        let text = try JournalEntry.finished(
            .init(step: "0#1", function: "f", arguments: "", values: [JournalValue(.number(.nan))])
        ).text
        guard case .finished(let result) = try JournalEntry(text[...]), let value = result.values?.first?.value.number
        else {
            Issue.record("no number")
            return
        }
        #expect(value.isNaN)
    }

    @Test("An error comes back with all that a script can see of it")
    func error() throws {
        var error = LuaError(
            "refused", "no", hint: "do so", rule: "a-rule", object: LuaObject(type: "vm", id: "x"),
            where: SourcePosition(chunk: "dr.lua", line: 3), retryable: true, cause: LuaError("host", "below"))
        error.value = ["k": 1]
        error.suppressed = [LuaError("script", "closing")]
        let entry = JournalEntry.finished(
            .init(step: "0#1", function: "f", arguments: "", error: JournalError(error)))
        guard case .finished(let result) = try JournalEntry(try entry.text[...]) else { return }
        #expect(result.error?.error == error)
    }
}
