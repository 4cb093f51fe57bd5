import LuaHost
import Testing

@Suite struct ValueTests {
    static let values: [LuaValue] = [
        nil, true, false, 0, -1, .integer(.max), .integer(.min), 1.5, .number(.infinity), "", "text", "zero\0inside",
        .string(LuaString(bytes: [0xff, 0xfe, 0x00, 0x80])), [], [1, 2, 3], ["a": 1, "b": [true, ["c": "d"]]],
        .object(LuaObject(type: "vm", id: "orders")), .object(LuaObject(type: "vm", id: "")),
    ]

    @Test(arguments: values)
    func everyValueComesBackAsItWent(_ value: LuaValue) async throws {
        let results = try await hosted().run("return host.echo(...)", arguments: [value])
        #expect(results == [value])
    }

    @Test func fieldsArriveInTheFixedOrder() async throws {
        let fixture = try hosted()
        let source = """
            local t = { "first", "second", zeta = 1, alpha = 2, [true] = 3, [false] = 4, [10] = 5, [2.5] = 6, [-1] = 7 }
            t[host.vm("b")], t[host.vm("a")] = 8, 9
            return host.echo(t)
            """
        let table = try #require(try await fixture.run(source).first?.table)
        #expect(table.array == ["first", "second"])
        #expect(table.fields.map(\.value) == [4, 3, 7, 6, 5, 2, 1, 9, 8])
    }

    @Test(arguments: [
        ("local t = {} t.t = t host.echo(t)", "argument", "contains itself"),
        ("local t = {} for i = 1, 100 do t = { t } end host.echo(t)", "size", "nested too deeply"),
        ("host.echo(1, coroutine.create(print))", "argument", "argument 2 is or holds a coroutine"),
        ("host.echo({ [{}] = 1 })", "argument", "table as a key"),
        ("host.echo({ [{}] = 1, [{}] = 2 })", "unordered-keys", "no order"),
    ])
    func whatCannotBePassedIsRefusedByName(_ source: String, _ kind: String, _ text: String) async throws {
        let error = try await hosted().failure(source)
        #expect(error.kind.rawValue == kind)
        #expect(error.message.contains(text))
    }

    @Test func aLargeArgumentIsRefused() async throws {
        let fixture = try hosted { $0.limits.argumentBytes = 1000 }
        let error = try await fixture.failure("host.echo(('x'):rep(2000))")
        #expect(error.kind == .size)
        #expect(error.message.hasPrefix("host.echo: argument 1"))
    }

    @Test func aSharedTableIsNoCycle() async throws {
        #expect(try await hosted().run("local a = {1} return host.echo({ a, a })") == [[[1], [1]]])
    }

    @Test func functionsComeBackAsThemselves() async throws {
        let source = """
            local f = function() return 7 end
            local g, h = host.echo(f, host.add)
            return g == f, h == host.add, g()
            """
        #expect(try await hosted().run(source) == [true, true, 7])
    }

    @Test func manyArgumentsPass() async throws {
        let source = "local t = {} for i = 1, 5000 do t[i] = i end return select('#', host.echo(table.unpack(t)))"
        #expect(try await hosted().run(source) == [5000])
    }

    @Test(arguments: [
        ("30s", 30.0), ("1.5min", 90), ("250ms", 0.25), ("2h", 7200), ("1d", 86_400),
    ])
    func durationsAreRead(_ text: String, _ seconds: Double) throws {
        #expect(try LuaDuration.parse(LuaValue(text), for: "d") == .seconds(seconds))
    }

    @Test(arguments: ["", "s", "-1s", "5 years", "1e9d", "30", "nan"])
    func otherTextIsNoDuration(_ text: String) {
        #expect(throws: LuaError.self) { try LuaDuration.parse(LuaValue(text), for: "d") }
    }

    @Test func theNearestNameIsFound() {
        #expect(nearestName(to: "stauts", in: ["owner", "status", "state"]) == "status")
        #expect(nearestName(to: "zzz", in: ["owner", "status"]) == nil)
    }
}

/// Values print as scripts write them.
@Suite struct DescriptionTests {
    static let forms: [(LuaValue, String)] = [
        (nil, "nil"), (true, "true"), (-3, "-3"), (2.5, "2.5"), ("a \"b\" \\\n\u{7}", #""a \"b\" \\\n\007""#),
        ([], "{}"),
        ([1, "two", [3]], #"{ 1, "two", { 3 } }"#),
        (
            ["name": "north", "2nd": 1, "with space": true, "_x1": nil, "z": [1]],
            #"{ name = "north", ["2nd"] = 1, ["with space"] = true, z = { 1 } }"#
        ),
        (.object(LuaObject(type: "vm", id: "orders")), "vm<orders>"),
        (.string(LuaString(bytes: [0xff])), "\"\u{fffd}\""),
    ]

    @Test(arguments: forms)
    func aValuePrintsAsInAScript(_ value: LuaValue, _ form: String) { #expect("\(value)" == form) }

    @Test func whatIsPrintedReadsBack() async throws {
        let value: LuaValue = [1, 2.5, "a\"\n\\", ["not a name": [1], "x": true]]
        #expect(try await Fixture().run("return \(value)") == [value])
    }
}
