import LuaHost
import Synchronization
import Testing

@Suite struct HostCallTests {
    @Test func integersGoInAndOneComesOut() async throws {
        #expect(try await hosted().run("return host.add(20, 22), host.answer") == [42, 42])
    }

    @Test func aCallKnowsWhereItCameFrom() async throws {
        #expect(try await hosted().run("\n\nreturn host.where(), 1") == ["test.lua:3", 1])
    }

    @Test func callsOfATaskAreNumbered() async throws {
        let source = """
            local a = host.identity()
            local b = task.map({ "x", "y" }, function() host.add(1, 1) return host.identity() end)
            return a, b, host.identity()
            """
        #expect(try await hosted().run(source) == ["0#1", ["0.1.1#2", "0.1.2#2"], "0#3"])
    }

    @Test func anErrorOfTheHostHasAllItsFields() async throws {
        let source = """
            local ok, e = pcall(host.fail)
            return ok, e.kind, e.message, e.hint, e.rule, e.where, e.retryable, e.cause.message, tostring(e), e.nothing
            """
        let results = try await hosted().run(source)
        #expect(results.prefix(5) == [false, "no-space", "the disk is full", "free some", "space-first"])
        #expect(results.dropFirst(6).prefix(2) == [true, "ENOSPC"])
        #expect(results.last == .nil)
    }

    @Test func anErrorOfTheHostIsOneLineOfText() async throws {
        let source = "local ok, e = pcall(function() host.fail() end) return tostring(e)"
        #expect(
            try await hosted().run(source) == ["test.lua:1: the disk is full [space-first] (free some)"])
    }

    @Test func anErrorThatNothingCatchesReachesSwiftWhole() async throws {
        let error = try await hosted().failure("local function f()\n  host.fail()\nend\nf()")
        #expect(error.kind == "no-space")
        #expect(error.where == SourcePosition(chunk: "test.lua", line: 2))
        #expect(error.rule == "space-first")
        #expect(error.cause?.message == "ENOSPC")
        #expect(error.retryable)
        let traceback = try #require(error.traceback)
        #expect(traceback.contains("test.lua:2: in"))
        #expect(traceback.contains("test.lua:4: in main chunk"))
    }

    @Test func anotherErrorHasKindHost() async throws {
        let error = try await hosted().failure("host.strange()")
        #expect(error.kind == .host)
        #expect(error.message.contains("StrangeError"))
    }

    @Test func anErrorCannotBeChanged() async throws {
        let source = "local _, e = pcall(host.fail) return pcall(function() e.kind = 'x' end), getmetatable(e)"
        #expect(try await hosted().run(source).last == "error")
        #expect(try await hosted().run(source).first == false)
    }

    @Test func thousandThrownErrorsLeaveNothingBehind() async throws {
        let counter = Counter()
        let fixture = try Fixture {
            $0.modules = [
                HostModule(
                    "leak",
                    functions: [
                        HostFunction(
                            "fail",
                            .synchronous { _, _ in
                                let box = Box(counter)
                                defer { withExtendedLifetime(box) {} }
                                throw LuaError(.host, "box \(box.id)")
                            }),
                        HostFunction(
                            "wait_and_fail",
                            .asynchronous { _, _ in
                                let box = Box(counter)
                                await Task.yield()
                                defer { withExtendedLifetime(box) {} }
                                throw LuaError(.host, "box \(box.id)")
                            }),
                    ])
            ]
        }
        let source = """
            local caught = 0
            for i = 1, 1000 do
                if not pcall(leak.fail) then caught = caught + 1 end
                if i % 10 == 0 and not pcall(leak.wait_and_fail) then caught = caught + 1 end
            end
            return caught
            """
        #expect(try await fixture.run(source) == [1100])
        #expect(counter.made.load(ordering: .relaxed) == 1100)
        #expect(counter.alive.load(ordering: .relaxed) == 0)
    }

    @Test func frozenModulesStayAsTheyAre() async throws {
        let source = """
            local a = pcall(function() host.add = nil end)
            local b = pcall(rawset, host, "add", 1)
            local c = pcall(setmetatable, host, nil)
            local d = pcall(function() string.rep = nil end)
            local names = {}
            for name in pairs(host) do names[#names + 1] = name end
            return a, b, c, d, getmetatable(host), names[1], #names
            """
        #expect(try await hosted().run(source) == [false, false, false, false, "module", "add", 10])
    }

    @Test(arguments: [
        ("host.ad(1, 2)", "no field 'ad' in 'host'; did you mean 'add'?"),
        ("pritn('x')", "unknown global 'pritn'; did you mean 'print'?"),
        ("local x = entirely_unknown", "unknown global 'entirely_unknown'"),
        ("host.vm('a').stauts = 1", "the fields of a vm cannot be set; use its methods"),
        ("return host.vm('a').stauts", "no field 'stauts' on vm; did you mean 'status'?"),
        ("host.vm('a').name(5)", "vm:name: expected a vm as the object; call it with ':'"),
    ])
    func unknownNamesAreExplained(_ source: String, _ message: String) async throws {
        let error = try await hosted { $0.objectTypes = [vmType] }.failure(source)
        #expect(error.message == message)
        #expect(error.where?.line == 1)
    }
}

@Suite struct ObjectTests {
    @Test func anObjectHasMethodsAndFields() async throws {
        let source = """
            local v = host.vm("orders")
            return v:name(), v:start(), v.status, v.owner, tostring(v), getmetatable(v), type(v)
            """
        #expect(
            try await hosted().run(source) == [
                "orders", "started orders", "running", "owner of orders", "vm<orders>", "vm", "userdata",
            ])
    }

    @Test func handlesOfOneObjectAreEqualAndOneKey() async throws {
        let source = """
            local t = { [host.vm("a")] = 1 }
            return host.vm("a") == host.vm("a"), host.vm("a") == host.vm("b"), t[host.vm("a")], t[host.vm("b")]
            """
        #expect(try await hosted().run(source) == [true, false, 1, nil])
    }

    @Test func theTypeMaySayHowItIsShown() async throws {
        let results = try await hosted().run(
            "return tostring(...), string.format('%s!', ...)", arguments: [.object(LuaObject(type: "site", id: "A"))])
        #expect(results == ["the site A", "the site A!"])
    }

    @Test func aForgedObjectIsRefused() async throws {
        let source = """
            local forged = setmetatable({}, { __name = "vm", __index = { id = "x" } })
            return pcall(host.vm("a").name, forged)
            """
        let results = try await hosted().run(source)
        #expect(results.first == false)
    }

    @Test func anUnknownTypeIsTheHostsMistake() async throws {
        let fixture = try Fixture {
            $0.modules = [
                HostModule(
                    "host",
                    functions: [
                        HostFunction("odd", .synchronous { _, _ in [.object(LuaObject(type: "odd", id: "1"))] })
                    ])
            ]
        }
        #expect(try await fixture.failure("host.odd()").kind == .host)
    }
}

final class Counter: Sendable {
    let made = Atomic(0)
    let alive = Atomic(0)
}

final class Box: Sendable {
    let counter: Counter
    let id: Int
    init(_ counter: Counter) {
        self.counter = counter
        id = counter.made.wrappingAdd(1, ordering: .relaxed).newValue
        counter.alive.wrappingAdd(1, ordering: .relaxed)
    }
    deinit { counter.alive.wrappingSubtract(1, ordering: .relaxed) }
}
