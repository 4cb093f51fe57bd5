import LuaHost
import Testing

/// Functions that read their arguments where Lua has them.
@Suite struct DirectCallTests {
    static let module = HostModule(
        "direct",
        functions: [
            HostFunction(
                "add",
                .direct { a, results throws(LuaError) in
                    results.write(try a.integer(1) &+ a.integer(2))
                }),
            HostFunction(
                "kinds",
                .direct { a, results throws(LuaError) in
                    results.write(try a.number(1))
                    results.write(try a.boolean(2))
                    results.write(try a.string(3))
                    results.writeNil()
                    try results.write(a.value(4))
                    results.write(try a.withBytes(3) { Int64($0.count) })
                }),
            HostFunction(
                "echo",
                .direct { a, results throws(LuaError) in
                    for index in 1...max(1, a.count) { try results.write(a.value(index)) }
                }),
            HostFunction(
                "bytes",
                .direct { _, results in [UInt8]([0, 255, 10]).withUnsafeBytes { results.write(bytes: $0) } }),
            HostFunction(
                "vm_id",
                .direct { a, results throws(LuaError) in results.write(try a.object(1, type: "vm").id) }),
            HostFunction(
                "fail", .direct { _, _ throws(LuaError) in throw LuaError("mine", "no", hint: "try again") }),
            HostFunction(
                "unknown",
                .direct { _, results throws(LuaError) in
                    try results.write(.object(LuaObject(type: "ghost", id: "1")))
                }),
            HostFunction(
                "where",
                .direct { a, results in
                    let context = a.context
                    results.write(
                        "\(context.where?.description ?? "-") \(context.task)#\(context.ordinal) \(a.functionName)")
                }),
        ])

    private func fixture() throws -> Fixture { try hosted { $0.modules.append(Self.module) } }

    static let calls: [(String, [LuaValue])] = [
        ("return direct.add(40, 2)", [42]),
        ("return direct.add(40.0, 2)", [42]),
        ("return direct.kinds(1, true, 'né\\0x', { a = { 1 } })", [1.0, true, "né\0x", nil, ["a": [1]], 5]),
        ("return direct.kinds(0.5, false, '', nil)", [0.5, false, "", nil, nil, 0]),
        ("return direct.echo()", [nil]),
        ("return direct.echo(1, nil, { 1, 2, x = 'y' }, 'text', 2.5)", [1, nil, ["x": "y"], "text", 2.5]),
        ("return direct.bytes() == '\\0\\255\\n'", [true]),
        ("return direct.vm_id(host.vm('orders'))", ["orders"]),
        ("return direct.where()", ["test.lua:1 0#1 direct.where"]),
        ("return pcall(direct.add, 1, 2)", [true, 3]),
        ("return (select('#', direct.echo(table.unpack({}, 1, 16))))", [16]),
    ]

    @Test(arguments: calls)
    func valuesCrossAsTheyAre(_ source: String, _ expected: [LuaValue]) async throws {
        var results = try await fixture().run(source)
        // A table with both parts is written as its fields above.
        if results.count == 5, case .table(var table) = results[2] {
            #expect(table.array == [1, 2])
            table.array = []
            results[2] = .table(table)
        }
        #expect(results == expected)
    }

    static let mistakes: [(String, String, String)] = [
        ("direct.add(1, 'x')", "argument", "direct.add: argument 2 must be an integer, got string"),
        ("direct.add(1)", "argument", "direct.add: argument 2 must be an integer, got nothing"),
        ("direct.add(1, 1.5)", "argument", "direct.add: argument 2 must be an integer, got number"),
        ("direct.kinds({})", "argument", "direct.kinds: argument 1 must be a number, got table"),
        ("direct.kinds(1, 1)", "argument", "direct.kinds: argument 2 must be a boolean, got integer"),
        ("direct.kinds(1, true, 1)", "argument", "direct.kinds: argument 3 must be a string, got integer"),
        ("direct.vm_id(1)", "argument", "direct.vm_id: argument 1 must be a vm, got integer"),
        ("direct.echo(coroutine.create(print))", "argument", "direct.echo: argument 1 is or holds a coroutine"),
        ("direct.fail()", "mine", "no"),
        ("direct.unknown()", "host", "objects of type 'ghost' are not known"),
    ]

    @Test(arguments: mistakes)
    func mistakesNameFunctionAndArgument(_ source: String, _ kind: String, _ message: String) async throws {
        let fixture = try fixture()
        let error = try await fixture.failure("\n" + source)
        #expect(error.kind.rawValue == kind)
        #expect(error.message.hasPrefix(message), "\(error.message)")
        #expect(error.where == SourcePosition(chunk: "test.lua", line: 2))
        #expect(try await fixture.run("return direct.add(1, 1)") == [2], "the state works on")
    }

    @Test func aMethodMayBeDirect() async throws {
        let type = ObjectType(
            "disk",
            methods: [
                HostFunction(
                    "size", .direct { a, results throws(LuaError) in results.write(try a.object(1, type: "disk").id) })
            ])
        let fixture = try Fixture {
            $0.objectTypes = [type, ObjectType("other")]
            $0.globals = [
                HostFunction("disk", .synchronous { _, _ in [.object(LuaObject(type: "disk", id: "d1"))] }),
                HostFunction("other", .synchronous { _, _ in [.object(LuaObject(type: "other", id: "o"))] }),
            ]
        }
        #expect(try await fixture.run("return disk():size()") == ["d1"])
        let error = try await fixture.failure("disk().size(other())")
        #expect(error.message == "disk:size: expected a disk as the object; call it with ':'")
    }

    @Test func theOrderOfFieldsIsFixedHoweverATableWasFilled() async throws {
        let source = """
            local a, b = {}, {}
            local names = { "zeta", "alpha", "omega-longer-than-eight", "omega-longer-than-nine", "b", "", "alph" }
            for i = 1, #names do a[names[i]] = i end
            for i = #names, 1, -1 do b[names[i]] = i end
            a[true], b[true], b[-1], a[-1], a[2.5], b[2.5] = 1, 1, 1, 1, 1, 1
            return a, b
            """
        let results = try await Fixture().run(source)
        #expect(results[0] == results[1])
        let keys = results[0].table?.fields.map(\.key)
        #expect(
            keys == [
                true, -1, 2.5, "", "alph", "alpha", "b", "omega-longer-than-eight", "omega-longer-than-nine", "zeta",
            ])
    }

    @Test func aContextThatIsKeptKnowsNoPositionAfterwards() async throws {
        let kept = Kept()
        let fixture = try Fixture {
            $0.globals = [
                HostFunction(
                    "keep",
                    .synchronous { context, _ in
                        #expect(context.where?.line == 1)
                        kept.context = context
                        return []
                    })
            ]
        }
        _ = try await fixture.run("keep()")
        #expect(kept.context != nil && kept.context?.where == nil)
    }
}
