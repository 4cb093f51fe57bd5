import LuaHost
import Testing

@Suite struct ErrorTests {
    @Test(arguments: [
        ("error('text')", "script", "text", 1),
        ("\n\nerror('text')", "script", "text", 3),
        ("local t = nil\nt.x = 1", "script", "attempt to index a nil value (local 't')", 2),
        ("local function f() error('up', 2) end\n\nf()", "script", "up", 3),
        ("error('bare', 0)", "script", "bare", 1),
        ("x = = 1", "syntax", "unexpected symbol near '='", 1),
        ("\nlocal x <const> = 1\nx = 2", "syntax", "attempt to assign to const variable 'x'", 3),
        ("error({ kind = 'mine', message = 'custom' })", "mine", "custom", 1),
        ("error()", "script", "the script raised nil as an error", 1),
        ("assert(false, 'no')", "script", "no", 1),
        ("error(setmetatable({}, { __tostring = function() return 'shown' end }))", "script", "shown", 1),
        (
            "error(setmetatable({}, { __tostring = function() error('x') end }))", "script",
            "<error object: __tostring failed>", 1
        ),
        (
            "error(setmetatable({}, { __tostring = function() return 5 end }))", "script",
            "<error object: __tostring failed>", 1
        ),
        ("error({ 1, 2 })", "script", "<table>", 1),
        ("coroutine.wrap(function() local x = nil; x() end)()", "script", nil, 1),
    ])
    func errorsHaveKindTextAndPosition(_ source: String, _ kind: String, _ message: String?, _ line: Int) async throws {
        let error = try await hosted().failure(source)
        #expect(error.kind.rawValue == kind)
        if let message { #expect(error.message == message) }
        #expect(error.where == SourcePosition(chunk: "test.lua", line: line))
    }

    @Test func theTextOfAnErrorIsBounded() async throws {
        let error = try await hosted().failure(
            "error(setmetatable({}, { __tostring = function() return ('x'):rep(1000000) end }))")
        #expect(error.message.utf8.count == 4096)
        let loops = try await hosted { $0.limits.fuel = 1_000_000 }.failure(
            "error(setmetatable({}, { __tostring = function() while true do end end }))")
        #expect(loops.message == "<error object: __tostring failed>")
    }

    @Test func aTableRaisedIsKept() async throws {
        let error = try await hosted().failure("error({ code = 7 })")
        #expect(error.value == ["code": 7])
    }

    @Test func longChunkNamesKeepTheirPosition() async throws {
        let path = String(repeating: "folder/", count: 20) + "script.lua"
        let state = try LuaState()
        let error = await #expect(throws: LuaError.self) { try await state.run("\nerror('x')", chunk: path) }
        #expect(error?.where == SourcePosition(chunk: path, line: 2))
        #expect(error?.message == "x")
        let syntax = await #expect(throws: LuaError.self) { try await state.run("\n= 1", chunk: path) }
        #expect(syntax?.where == SourcePosition(chunk: path, line: 2))
    }

    @Test func hostFramesAreFolded() async throws {
        let error = try await hosted().failure(
            "local function inner()\n  error('deep')\nend\npcall(print)\ntable.sort({ 2, 1 }, "
                + "function() inner() end)")
        let lines = try #require(error.traceback).split(separator: "\n")
        #expect(lines.contains { $0.contains("test.lua:2: in") })
        #expect(lines.contains("[host]: in 'sort'"))
        #expect(lines.last == "test.lua:5: in main chunk")
        #expect(!lines.contains { $0.contains("[C]") })
    }

    @Test func bytecodeIsRefused() async throws {
        let fixture = try hosted()
        #expect(try await fixture.failure("\u{1b}Lua").kind == .syntax)
        #expect(try await fixture.run("return load('\\27Lua')").first == .nil)
        #expect(try await fixture.failure("load('x', 'x', 'b')").kind == .argument)
    }
}

@Suite struct EvaluationTests {
    static let printed: [(String, [String])] = [
        ("1 + 1", ["2"]), ("'a', nil, true", ["\"a\"", "nil", "true"]), ("", []), ("x = 5", []),
        ("print", ["<function>"]),
        ("{ 1, 2, 3 }", ["{ 1, 2, 3 }"]), ("{}", ["{}"]),
        ("{ b = 1, a = { 'x' }, [1] = 0 }", ["{\n  0,\n  a = { \"x\" },\n  b = 1\n}"]),
        ("(function() local t = {} t.me = t return t end)()", ["{\n  me = <cycle>\n}"]),
        ("{ ['two words'] = 1, ['end'] = 2 }", ["{\n  [\"end\"] = 2,\n  [\"two words\"] = 1\n}"]),
        ("{{{{{{{{}}}}}}}}", ["{ { { { { { {...} } } } } } }"]), ("'a\\n\\0001\"'", ["\"a\\n\\0001\\\"\""]),
        ("host.vm('x')", ["vm<x>"]), ("host", ["<host>"]), ("1e100", ["1e+100"]),
    ]

    @Test(arguments: printed)
    func resultsArePrinted(_ source: String, _ expected: [String]) async throws {
        let evaluation = try await hosted().state.evaluate(source)
        guard case .finished(_, let printed) = evaluation else {
            Issue.record("\(evaluation)")
            return
        }
        #expect(printed == expected)
    }

    @Test(arguments: [
        "for i = 1, 3 do", "f(", "x = {", "if true then", "[[long", "function f()", "1 +", "local s = 'a' ..",
    ])
    func unfinishedTextIsItsOwnCase(_ source: String) async throws {
        let evaluation = try await hosted().state.evaluate(source)
        guard case .incomplete = evaluation else {
            Issue.record("\(evaluation)")
            return
        }
    }

    @Test func globalsPersistAndErrorsDoNotHurt() async throws {
        let state = try hosted { $0.limits.fuel = 1_000_000 }.state
        _ = await state.evaluate("x = 41")
        for bad in ["error('no')", "x = = 2", "while true do end", "host.wait_and_fail()"] {
            guard case .failed(let error) = await state.evaluate(bad) else {
                Issue.record("\(bad) was expected to fail")
                return
            }
            #expect(error.where?.chunk == "repl")
        }
        guard case .finished(let values, let printed) = await state.evaluate("x + host.wait(1)") else {
            Issue.record("expected a result")
            return
        }
        #expect(values == [42])
        #expect(printed == ["42"])
    }

    @Test func callsWaitForTheirTurn() async throws {
        let fixture = try hosted()
        async let first = fixture.run("task.sleep(1) return 'first'")
        await fixture.clock.sleepers(atLeast: 1)
        async let second = fixture.run("return 'second'")
        fixture.clock.advance(by: .seconds(1))
        #expect(try await first == ["first"])
        #expect(try await second == ["second"])
    }

    @Test func checkFindsSyntaxErrorsOnly() async throws {
        let fixture = try hosted()
        try await fixture.state.check("error('not run')", chunk: "a.lua")
        let error = await #expect(throws: LuaError.self) { try await fixture.state.check("\nif", chunk: "a.lua") }
        #expect(error?.where == SourcePosition(chunk: "a.lua", line: 2))
    }
}
