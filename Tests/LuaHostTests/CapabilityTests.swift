import LuaHost
import Testing

@Suite("Capabilities")
struct CapabilityTests {
    private static let door = Capability(
        "door", grant: "--allow door",
        modules: [
            HostModule(
                "door",
                functions: [
                    HostFunction("open", .synchronous { _, a in ["opened \(a.first?.text ?? "")"] }),
                    HostFunction(
                        "wait",
                        .asynchronous { _, _ in
                            await Task.yield()
                            return ["waited"]
                        }),
                    HostFunction("count", .direct { arguments, results throws(LuaError) in results.write(true) }),
                ],
                constants: [(name: "width", value: 80)]),
            HostModule(
                "hidden", functions: [HostFunction("open", .synchronous { _, _ in ["hidden"] })], isGlobal: false),
        ],
        globals: [HostFunction("knock", .synchronous { _, _ in ["knocked"] })])

    private static let house = HostModule(
        "house",
        functions: [
            HostFunction(
                "enter",
                .synchronous { context, arguments in
                    if arguments.first == "by night" { try context.require("door") }
                    return ["entered"]
                }),
            HostFunction(
                "dig",
                .synchronous { context, _ in
                    try context.require("tunnel")
                    return []
                }),
        ])

    private static func fixture(granted: Set<String>) throws -> Fixture {
        try Fixture {
            $0.modules = [house]
            $0.capabilities = [door, Capability("bell", grant: "--allow bell")]
            $0.granted = granted
        }
    }

    @Test(
        "Without the grant every call raises an error that names the capability and what grants it",
        arguments: [
            "door.open('a')", "door.wait()", "door.count()", "knock()", "require('hidden').open()",
            "require('door').open('a')", "house.enter('by night')",
        ])
    func refused(call: String) async throws {
        let fixture = try Self.fixture(granted: ["bell"])
        let error = try await fixture.failure("\n" + call)
        #expect(error.kind == .notGranted && error.hint == "run it with --allow door", "\(error)")
        #expect(error.message.contains("'door' is not granted to this run"), "\(error)")
        #expect(error.where?.line == 2)
        // It is an error object like any other: a script may go on without.
        let caught = try await fixture.run("local ok, e = pcall(function() \(call) end) return ok, e.kind, e.hint")
        #expect(caught == [false, "not-granted", "run it with --allow door"])
        #expect(try await fixture.run("return house.enter('by day'), door.width") == ["entered", 80])
    }

    @Test("With the grant the functions work")
    func granted() async throws {
        let fixture = try Self.fixture(granted: ["door"])
        let results = try await fixture.run(
            "return door.open('a'), door.wait(), door.count(), knock(), require('hidden').open(), house.enter('by night')"
        )
        #expect(results == ["opened a", "waited", true, "knocked", "hidden", "entered"])
    }

    @Test("A capability is there to be seen, and misspelt names in it are told")
    func names() async throws {
        let fixture = try Self.fixture(granted: [])
        #expect(try await fixture.run("return type(door.open), rawget(_G, 'hidden')") == ["function", .nil])
        #expect(try await fixture.failure("door.opn()").kind == .undefined)
        #expect(try await fixture.failure("door.open = print").kind != .notGranted)
    }

    @Test("What no capability is named is granted to nobody")
    func unknown() async throws {
        #expect(try await Self.fixture(granted: ["door"]).failure("house.dig()").kind == .notGranted)
        let error = #expect(throws: LuaError.self) { try Self.fixture(granted: ["dor"]) }
        #expect(error?.kind == .notGranted && error?.hint == "this host has: bell, door")
    }

    @Test("Nothing more is reachable with refused capabilities than without any")
    func reachable() async throws {
        let plain = try await hosted().state.reachableFunctions()
        let refused = try await hosted { $0.capabilities = [Self.door] }.state.reachableFunctions()
        #expect(refused.subtracting(plain).isEmpty, "\(refused.subtracting(plain).sorted())")
    }
}
