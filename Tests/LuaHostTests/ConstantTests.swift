import LuaHost
import Testing

/// Constant tables of host modules read as tables do and cannot be changed, at any depth.
@Suite struct ConstantTests {
    private static let limits = LuaTable([
        "empty": .table(LuaTable()), "name": "north",
        "nested": .table(LuaTable(["inner": .table(LuaTable(["deep": [1, .table(LuaTable(["x": true]))]]))])),
        "ports": [80, 443, 8080],
    ])

    private func fixture() throws -> Fixture {
        try Fixture {
            $0.modules = [
                testModule,
                HostModule("site", functions: [], constants: [(name: "limits", value: .table(Self.limits))]),
            ]
        }
    }

    static let writes: [(source: String, message: String)] = [
        ("site.limits = 1", "'site' is read-only"),
        ("site.limits.name = 'south'", "'site.limits' is read-only"),
        ("site.limits.new = 1", "'site.limits' is read-only"),
        ("site.limits.ports[1] = 81", "'site.limits.ports' is read-only"),
        ("site.limits.ports[4] = 81", "'site.limits.ports' is read-only"),
        ("site.limits.nested.inner.deep[2].x = false", "'site.limits.nested.inner.deep[]' is read-only"),
        ("rawset(site.limits, 'name', 1)", "rawset: the table is read-only"),
        ("table.insert(site.limits.ports, 1)", "'site.limits.ports' is read-only"),
        ("table.insert(site.limits.ports, 1, 1)", "'site.limits.ports' is read-only"),
        ("table.remove(site.limits.ports)", "'site.limits.ports' is read-only"),
        ("table.sort(site.limits.ports, function(a, b) return a > b end)", "'site.limits.ports' is read-only"),
        ("table.move({ 1 }, 1, 1, 1, site.limits.ports)", "'site.limits.ports' is read-only"),
        ("setmetatable(site.limits, {})", "cannot change a protected metatable"),
        ("for k in pairs(site.limits) do site.limits[k] = nil end", "'site.limits' is read-only"),
    ]

    @Test(arguments: writes)
    func aWriteIsRefused(_ source: String, _ message: String) async throws {
        let fixture = try fixture()
        let error = try await fixture.failure(source)
        #expect(error.kind == .script && error.message == message)
        #expect(try await fixture.run("return host.echo(site.limits)") == [.table(Self.limits)])
    }

    /// Each gives the same for a constant and for a table with the same contents.
    static let reads: [String] = [
        "#t.ports", "#t", "#t.empty", "t.name", "t.nothing", "t.ports[2]", "t.ports[4]", "type(t)", "tostring(t)",
        "t == t", "t.nested == t.nested", "next(t.empty)", "next(t.empty) == nil", "select('#', next(t.ports))",
        "table.concat(t.ports, ',')", "table.unpack(t.ports)", "select('#', table.unpack(t.ports))",
        "rawget(t, 'name')", "rawlen(t.ports)", "rawlen(t)", "rawequal(t, t)", "inspect(t)", "inspect(t.nested)",
        "inspect({ t })", "host.echo(t)", "host.echo({ t.ports, t.nested })", "keys(pairs(t))", "keys(next, t)",
        "keys(ipairs(t.ports))", "keys(pairs(t.nested))", "table.unpack(table.move(t.ports, 1, 3, 1, {}))",
        "table.unpack(task.map(t.ports, function(p) return p + 1 end))",
        "pcall(task.map, t.ports, t.nested, print)", "#table.pack(t.ports)", "math.max(table.unpack(t.ports))",
        "(function() local c = {} for k, v in pairs(t) do c[k] = v end return #c.ports end)()",
        "(('$name'):gsub('%$(%w+)', t))", "t.ports == { 80, 443, 8080 }", "pcall(ipairs)", "#t.nested.inner.deep[2]",
    ]

    @Test(arguments: reads)
    func aReadIsAsOfAnyTable(_ expression: String) async throws {
        let source = """
            local t = ...
            local function keys(f, s, k) local out = {} for k, v in f, s, k do out[#out + 1] = tostring(k) end return table.concat(out, " ") end
            return \(expression)
            """
        let fixture = try fixture()
        let plain = try await fixture.run(source, arguments: [.table(Self.limits)])
        let frozen = try await fixture.run(source.replacing("local t = ...", with: "local t = site.limits"))
        #expect(frozen == plain)
        #expect(!frozen.isEmpty || expression.hasPrefix("table.unpack"))
    }

    /// What a script writes into one state's constants is not there, and what it made of them is its own.
    @Test func aCopyIsTheScriptsOwn() async throws {
        let source = """
            local copy = host.echo(site.limits)
            copy.name, copy.ports[1] = "south", 81
            return copy.name, copy.ports[1], site.limits.name, site.limits.ports[1], getmetatable(site.limits)
            """
        #expect(try await fixture().run(source) == ["south", 81, "north", 80, "constant"])
    }

    /// The attack on all that a script can reach, with constants among it.
    @Test func noWayToWriteIsOpen() async throws {
        let fixture = try hosted {
            $0.modules.append(
                HostModule("site", functions: [], constants: [(name: "limits", value: .table(Self.limits))]))
        }
        let results = try await fixture.run(FrozenTests.attack)
        #expect(results[1].table?.array.compactMap(\.text) == [])
    }
}
