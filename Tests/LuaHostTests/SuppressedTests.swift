import LuaHost
import Testing

/// What close handlers raise while something else ends the run or the task is told beside it.
@Suite struct SuppressedTests {
    static let closer = """
        local function closer(work) return setmetatable({}, { __close = work }) end

        """

    /// Scripts that are ended by their fuel, and what is told besides.
    static let scripts: [(String, [String])] = [
        (
            """
            local c <close> = closer(function() error("second") end)
            while true do end
            """, ["test.lua:2: second"]
        ),
        (
            """
            pcall(function()
                local c <close> = closer(function() error("second") end)
                while true do end
            end)
            """, ["test.lua:3: second"]
        ),
        (
            """
            local a <close> = closer(function() error("outer") end)
            local b <close> = closer(function() error({ kind = "mine", message = "inner" }) end)
            xpcall(function()
                local c <close> = closer(function() local n = nil; return n.x end)
                while true do end
            end, print)
            """, ["test.lua:5: attempt to index a nil value (local 'n')", "test.lua:3: inner", "test.lua:2: outer"]
        ),
        (
            """
            coroutine.wrap(function()
                local c <close> = closer(function() error("in the coroutine") end)
                while true do end
            end)()
            """, ["test.lua:3: in the coroutine"]
        ),
        (
            """
            local c <close> = closer(function() pcall(error, "caught") end)
            while true do end
            """, []
        ),
        (
            """
            local c <close> = closer(function(_, e) error(e) end)
            while true do end
            """, []
        ),
        (
            """
            local co = coroutine.create(function()
                local c <close> = closer(function() error("of the closed") end)
                coroutine.yield()
            end)
            coroutine.resume(co)
            local c <close> = closer(function() assert(coroutine.close(co)) end)
            while true do end
            """, ["test.lua:7: test.lua:3: of the closed"]
        ),
    ]

    @Test(arguments: scripts)
    func bothErrorsAreReported(_ source: String, _ expected: [String]) async throws {
        let fixture = try Fixture { $0.limits.fuel = 200_000 }
        let error = try await fixture.failure(Self.closer + source)
        #expect(error.kind == .fuel)
        #expect(error.suppressed.map(\.description) == expected)
        for line in expected { #expect(error.description.contains(line)) }
        #expect(try await fixture.run("return 1") == [1])
    }

    @Test func theKindAndPlaceOfTheSecondErrorAreKept() async throws {
        let fixture = try hosted { $0.limits.fuel = 200_000 }
        let error = try await fixture.failure(
            Self.closer + "local c <close> = closer(function() host.fail() end) while true do end")
        #expect(error.suppressed.map(\.kind) == ["no-space"])
        #expect(error.suppressed.first?.hint == "free some")
        #expect(error.suppressed.first?.where == SourcePosition(chunk: "test.lua", line: 2))
    }

    @Test func theNumberIsBounded() async throws {
        let fixture = try Fixture { $0.limits.fuel = 200_000 }
        let error = try await fixture.failure(
            Self.closer + """
                local function nest(n)
                    local c <close> = closer(function() error("number " .. n) end)
                    if n > 0 then nest(n - 1) else while true do end end
                end
                nest(50)
                """)
        #expect(error.suppressed.map(\.message) == (0..<8).map { "number \($0)" })
    }

    @Test func aCancelledRunTellsWhatItsTasksRaised() async throws {
        let fixture = try Fixture()
        let run = Task {
            try await fixture.run(
                Self.closer + """
                    task.map({ "a", "b" }, function(name)
                        local c <close> = closer(function() error({ kind = "cleanup", message = name }) end)
                        task.sleep(100)
                    end)
                    """)
        }
        await fixture.clock.sleepers(atLeast: 2)
        run.cancel()
        let error = await #expect(throws: LuaError.self) { try await run.value }
        #expect(error?.kind == .cancelled)
        #expect(error?.suppressed.map(\.message) == ["a", "b"])
    }

    // MARK: siblings

    static let siblings = """
        local function sibling(name)
            return function()
                local c <close> = closer(function() error({ kind = "cleanup", message = name }) end)
                task.sleep(100)
            end
        end

        """

    /// Ways to open a scope of two siblings and one that fails with ERROR.
    static let scopes = [
        "task.all { sibling('a'), sibling('b'), function() host.wait() error(ERROR) end }",
        "task.map({ sibling('a'), sibling('b'), function() host.wait() error(ERROR) end }, function(f) f() end)",
        "task.race { sibling('a'), sibling('b'), function() host.wait() error(ERROR) end }",
        "task.scope(function() task.spawn(sibling('a')) task.spawn(sibling('b')) host.wait() error(ERROR) end)",
        // From scope to scope.
        "task.all { function() task.all { sibling('a'), sibling('b'), function() host.wait() error(ERROR) end } end }",
        "task.all { function() task.all { sibling('a'), sibling('b') } end, function() host.wait() error(ERROR) end }",
    ]

    @Test(arguments: scopes, ["'no'", "{ kind = 'mine', message = 'no' }", "nil"])
    func whatCancelledSiblingsRaiseIsAttached(_ scope: String, _ value: String) async throws {
        let source = Self.closer + Self.siblings + scope.replacing("ERROR", with: value)
        let error = try await hosted().failure(source)
        #expect(error.kind == (value.contains("mine") ? "mine" : .script))
        #expect(error.suppressed.map(\.message) == ["a", "b"])
        #expect(error.suppressed.map(\.kind) == ["cleanup", "cleanup"])
    }

    @Test(arguments: [
        ("host.wait_and_fail()", "lost", "test.lua:8: the link is lost; raised while closing: a; b"),
        ("error({ kind = 'mine', message = 'no' })", "mine", "<table>"),
    ])
    func aScriptSeesThemToo(_ failing: String, _ kind: String, _ text: String) async throws {
        let source =
            Self.closer + Self.siblings + """
                local ok, e = pcall(task.all, { sibling("a"), sibling("b"), function() host.wait() \(failing) end })
                return e.kind, #e.suppressed, e.suppressed[1].message, e.suppressed[2].kind, tostring(e)
                """
        #expect(try await hosted().run(source) == [LuaValue(kind), 2, "a", "cleanup", LuaValue(text)])
    }

    @Test func anErrorThatWasCaughtTakesItsOwnAlong() async throws {
        let source =
            Self.closer + Self.siblings + """
                pcall(task.all, { sibling("a"), function() host.wait() error("first") end })
                error("another")
                """
        let error = try await hosted().failure(source)
        #expect(error.message == "another")
        #expect(error.suppressed.isEmpty)
    }

    @Test func manySiblingsAreBounded() async throws {
        let source =
            Self.closer + Self.siblings + """
                local list = {}
                for i = 1, 100 do list[i] = sibling("s" .. i) end
                list[101] = function() host.wait() error("enough") end
                task.all(list)
                """
        let error = try await hosted().failure(source)
        #expect(error.suppressed.map(\.message) == (1...8).map { "s\($0)" })
    }

    @Test func aTimeLimitTellsWhatItsFunctionRaised() async throws {
        let fixture = try Fixture()
        async let results = fixture.run(
            Self.closer + Self.siblings + """
                local ok, e = pcall(task.timeout, 5, sibling("a"))
                return e.kind, e.suppressed[1].message
                """)
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .seconds(5))
        #expect(try await results == ["timeout", "a"])
    }

    /// A host function that fails in its own way when it is cancelled, such as one that could not undo something.
    @Test func aCancelledWaitThatFailsIsTold() async throws {
        let fixture = try hosted {
            $0.globals = [
                HostFunction(
                    "operation",
                    .asynchronous { context, _ in
                        do { try await context.clock.sleep(for: .seconds(100)) } catch {
                            throw LuaError("undo-failed", "the volume is still mounted")
                        }
                        return []
                    })
            ]
        }
        let source = """
            task.all { operation, function() task.sleep(0) host.wait_and_fail() end }
            """
        async let failure = fixture.failure(source)
        await fixture.clock.sleepers(atLeast: 2)
        fixture.clock.advance(by: .zero)
        let error = try await failure
        #expect(error.kind == "lost")
        #expect(error.suppressed.map(\.kind) == ["undo-failed"])
    }

    /// Both errors are one object, which must not contain itself.
    @Test func anErrorIsNotItsOwn() async throws {
        let source = """
            local _, same = pcall(host.fail)
            local function closer(work) return setmetatable({}, { __close = work }) end
            task.all {
                function() local c <close> = closer(function() error(same) end) task.sleep(100) end,
                function() host.wait() error(same) end,
            }
            """
        let error = try await hosted().failure(source)
        #expect(error.kind == "no-space")
        #expect(error.suppressed.isEmpty)
    }
}
