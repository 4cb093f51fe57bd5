import LuaHost
import Testing

@testable import RecoveryScripting

@Suite("Arguments are checked against the declaration")
struct DecodingTests {
    /// A function with one argument of every kind.
    static let sample = FunctionDeclaration(
        "move", "Moves something.",
        positional: [.required("name", .text, "what")],
        named: [
            .optional("kind", .choice(["planned", "declared-lost"]), "which"),
            .optional("limit", .duration, "how long", default: "30s", range: 1...3600),
            .optional("space", .size, "how much"),
            .optional("count", .integer, "how many", range: 1...9),
            .optional("hosts", .list(.object("host")), "where"),
            .optional("networks", .map(.text), "which to which"),
            .optional("point", .either([.choice(["latest"]), .integer]), "from"),
            .optional("force", .boolean, "whether"), .optional("share", .number, "how much", range: 0...1),
            .optional("extra", .any, "whatever"), .optional("stage", .record("stage"), "which step"),
            .optional("check", .function, "what to call"), .optional("host", .object("host"), "where"),
        ],
        effect: .none, example: "", .immediate { _ in [] })

    private func decode(_ values: [LuaValue], _ declaration: FunctionDeclaration = sample) throws(LuaError) -> Arguments
    {
        try ArgumentDecoder(function: "thing:move", declaration: declaration).decode(values, receiver: nil)
    }

    @Test(
        "Durations are decoded to seconds and sizes to bytes, numbers are taken as they are",
        arguments: [
            ("limit", LuaValue("30s"), 30.0), ("limit", "5min", 300), ("limit", "1h", 3600), ("limit", "1500ms", 1.5),
            ("limit", 90, 90), ("limit", 2.5, 2.5), ("space", "4GiB", 4_294_967_296), ("space", "512MiB", 536_870_912),
            ("space", "1.5KiB", 1536), ("space", "2GB", 2_000_000_000), ("space", 4096, 4096), ("count", 3.0, 3),
            ("count", "7", 7),
        ] as [(String, LuaValue, Double)])
    func amounts(name: String, given: LuaValue, expected: Double) throws {
        let table = LuaValue.table(LuaTable([:])).adding(name, given)
        #expect(try decode(["x", table]).number(name) == expected)
    }

    @Test(
        "Defaults are decoded as if they had been given, and hold for an empty table too",
        arguments: [
            ["x"], ["x", .table(LuaTable())], ["x", .nil],
        ] as [[LuaValue]])
    func defaults(values: [LuaValue]) throws {
        let arguments = try decode(values)
        #expect(arguments.number("limit") == 30)
        #expect(arguments["kind"] == nil)
    }

    @Test("Underscores stand for hyphens in words to choose from")
    func choices() throws {
        #expect(try decode(["x", ["kind": "declared_lost"]]).text("kind") == "declared-lost")
        #expect(try decode(["x", ["point": "latest"]]).text("point") == "latest")
        #expect(try decode(["x", ["point": 7]]).integer("point") == 7)
    }

    @Test("What is declared as any value, number, truth, table or function is handed on as it is")
    func plain() throws {
        let function = LuaValue.function(LuaFunction(id: 1, hostName: nil))
        let arguments = try decode([
            "x",
            ["extra": [1, "a"], "force": .boolean(false), "share": 0.5, "stage": ["name": "copy"], "check": function],
        ])
        #expect(arguments["extra"] == [1, "a"] && arguments["force"] == .boolean(false) && arguments["share"] == 0.5)
        #expect(arguments["stage"] == ["name": "copy"] && arguments["check"] == function)
    }

    @Test("Lists and maps are decoded element by element")
    func collections() throws {
        let arguments = try decode([
            "x", ["hosts": [.object(Handle.host("h1"))], "networks": ["gold-net": "silver-net"]],
        ])
        #expect(arguments.objects("hosts") == [Handle.host("h1")])
        #expect(arguments.textsByName("networks") == ["gold-net": "silver-net"])
    }

    @Test(
        "What does not fit is refused with the argument, what it must be, and what was given",
        arguments: [
            (
                ["x", ["kind": "planed"]], "'kind' must be \"planned\" or \"declared-lost\", got \"planed\"",
                "did you mean \"planned\"?"
            ),
            (["x", ["knid": "planned"]], "has no option 'knid'", "did you mean 'kind'?"),
            (
                ["x", ["colour": 1]], "has no option 'colour'",
                "it takes: kind, limit, space, count, hosts, networks, point, force, share, extra, stage, check, host"
            ),
            (["x", [1, 2]], "takes its options by name, got a table", "call it as thing:move(name, "),
            (["x", 12], "takes its options by name, got 12", "call it as"),
            ([], "'name' is missing; it must be text", "call it as"),
            ([12], "'name' must be text, got 12", nil),
            (["x", [:], 3], "takes 2 arguments, got 3", "call it as"),
            (["x", ["limit": "5m"]], "'limit' must be a duration such as \"30s\"", nil),
            (["x", ["limit": "2h"]], "'limit' must be 1 to 3600 seconds, got \"2h\"", nil),
            (["x", ["limit": .boolean(true)]], "'limit' must be a duration", nil),
            (["x", ["limit": "0s"]], "'limit' must be 1 to 3600 seconds, got \"0s\"", nil),
            (["x", ["name": "y"]], "'name' is given by position, and a second time by name", "call it as thing:move("),
            (["x", ["Kind": "planned"]], "has no option 'Kind'", "did you mean 'kind'?"),
            (["x", ["kind": 3]], "'kind' must be \"planned\" or \"declared-lost\", got 3", nil),
            (
                ["x", ["point": "latst"]], "'point' must be \"latest\" or an integer, got \"latst\"",
                "did you mean \"latest\"?"
            ),
            (["x", ["force": "yes"]], "'force' must be true or false, got \"yes\"", nil),
            (["x", ["force": 1]], "'force' must be true or false, got 1", nil),
            (["x", ["share": "half"]], "'share' must be a number, got \"half\"", nil),
            (["x", ["share": 1.5]], "'share' must be 0 to 1, got 1.5", nil),
            (["x", ["share": .number(.nan)]], "'share' must be a number, got nan", nil),
            (["x", ["stage": "copy"]], "'stage' must be a table as stage describes it, got \"copy\"", nil),
            (["x", ["check": "f"]], "'check' must be a function, got \"f\"", nil),
            (["x", ["host": "a1"]], "'host' must be a host, got \"a1\"", nil),
            (["x", ["host": .object(Handle.server("s"))]], "'host' must be a host, got a server", nil),
            (["x", ["networks": "gold-net"]], "'networks' must be a table from text to text, got \"gold-net\"", nil),
            (["x", ["networks": ["a"]]], "'networks' must be a table from text to text, got a table", nil),
            (["x", ["hosts": [.object(Handle.host("h")), "b1"]]], "'hosts[2]' must be a host, got \"b1\"", nil),
            (["x", ["space": "many"]], "'space' must be a size such as \"512MiB\"", nil),
            (["x", ["count": "many"]], "'count' must be an integer, got \"many\"", nil),
            ([.nil, ["kind": "planned"]], "'name' is missing; it must be text", "call it as"),
            (["x", ["limit": -5]], "'limit' must be a duration", nil),
            (["x", ["space": "4 GiB"]], "'space' must be a size such as \"512MiB\"", nil),
            (["x", ["space": -1]], "'space' must be a size", nil),
            (["x", ["space": ".5GiB"]], "'space' must be a size", nil),
            (["x", ["count": 1.5]], "'count' must be an integer, got 1.5", nil),
            (["x", ["count": 10]], "'count' must be 1 to 9, got 10", nil),
            (["x", ["hosts": [.object(Handle.server("s"))]]], "'hosts[1]' must be a host, got a server", nil),
            (["x", ["hosts": "h1"]], "'hosts' must be a list in which each is a host, got \"h1\"", nil),
            (["x", ["networks": ["gold-net": 5]]], "'networks[\"gold-net\"]' must be text, got 5", nil),
            (["x", ["point": "newest"]], "'point' must be \"latest\" or an integer, got \"newest\"", nil),
            (["x", ["point": .boolean(true)]], "'point' must be \"latest\" or an integer, got true", nil),
        ] as [([LuaValue], String, String?)])
    func refusals(values: [LuaValue], message: String, hint: String?) throws {
        let error = #expect(throws: LuaError.self) { try decode(values) }
        let found = try #require(error)
        #expect(found.kind == .argument)
        #expect(found.message.hasPrefix("move: \(message)"), "\(found.message)")
        if let hint { #expect(found.hint?.hasPrefix(hint) == true, "\(found.hint ?? "no hint")") }
    }

    @Test("A long text is cut in a message")
    func longText() throws {
        let error = #expect(throws: LuaError.self) {
            try decode(["x", ["kind": LuaValue(String(repeating: "k", count: 5000))]])
        }
        #expect(try #require(error).message.count < 200)
    }

    @Test("A function with a look-up form tells the two apart by the first argument")
    func lookup() throws {
        let looked = try decode(["gold"], ServerObject.cloud)
        #expect(looked.isLookup && looked.text("name") == "gold")
        let made = try decode([["name": "gold", "hosts": []]], ServerObject.cloud)
        #expect(!made.isLookup && made.text("name") == "gold")
        let error = #expect(throws: LuaError.self) { try decode([12], ServerObject.cloud) }
        #expect(try #require(error).message == "move: 'name' must be text, got 12")
    }
}

extension LuaValue {
    /// A table value with one more field.
    func adding(_ name: String, _ value: LuaValue) -> LuaValue {
        var copy = table ?? LuaTable()
        copy[name] = value
        return .table(copy)
    }
}
