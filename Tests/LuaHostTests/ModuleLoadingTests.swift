import LuaHost
import Testing

/// A module whose loading is given up half-way keeps nobody from loading it.
@Suite struct ModuleLoadingTests {
    struct Sources: ModuleResolver {
        let texts: [String: String]
        func module(named name: String) -> ModuleSource? {
            texts[name].map { ModuleSource(chunk: "\(name).lua", source: Array($0.utf8)) }
        }
    }

    private func requiring(_ change: (inout LuaConfiguration) -> Void = { _ in }) throws -> Fixture {
        try hosted {
            // The first time it stops half-way, later it goes through.
            let text =
                "local first = not _G.begun begun = true if first then coroutine.yield() end return { value = 5 }"
            $0.resolver = Sources(texts: ["halting": text, "other": "coroutine.yield() return 1"])
            change(&$0)
        }
    }

    private static let abandon = "local co = coroutine.create(require) coroutine.resume(co, 'halting')"

    @Test(.timeLimit(.minutes(1))) func anotherTaskLoadsItOnceTheFirstHasEnded() async throws {
        let source = """
            return task.all {
                function() \(Self.abandon) host.wait() return "given up" end,
                function() return require("halting").value end,
            }
            """
        #expect(try await requiring().run(source) == [["given up", 5]])
    }

    @Test(.timeLimit(.minutes(1))) func theNextRunLoadsIt() async throws {
        let fixture = try requiring()
        #expect(try await fixture.run(Self.abandon + " return 1") == [1])
        #expect(try await fixture.run("return require('halting').value") == [5])
    }

    @Test(.timeLimit(.minutes(1))) func oneThatWasCancelledMeanwhileDoesNotHoldItUp() async throws {
        let source = """
            local results = {}
            task.race {
                function() \(Self.abandon) task.sleep("1h") end,
                function() host.wait() return 1 end,
            }
            return require("halting").value
            """
        #expect(try await requiring().run(source) == [5])
    }

    @Test func theSameTaskIsToldWhatIsUnfinished() async throws {
        let source = Self.abandon + " local ok, e = pcall(require, 'halting') return ok, e.message, co"
        let results = try await requiring().run(source.replacing(", co", with: ""))
        #expect(results.first == false)
        #expect(
            results.last?.text
                == "require: 'halting' is being loaded by a coroutine that is suspended; resume or close that first")
        let closed = Self.abandon + " coroutine.close(co) return require('halting').value"
        #expect(try await requiring().run(closed) == [5])
        let resumed = Self.abandon + " local ok, m = coroutine.resume(co) return m.value, require('halting') == m"
        #expect(try await requiring().run(resumed) == [5, true])
    }

    /// What waited for modules that one task has given up goes on by their names, not in the order of a hash.
    @Test func waitersOfSeveralModulesGoOnInOneOrder() async throws {
        let names = (1...12).map { "m\($0)" }
        let texts = Dictionary(
            uniqueKeysWithValues: names.map {
                (
                    $0,
                    "local first = not rawget(_G, '\($0)') \($0) = true if first then coroutine.yield() end return true"
                )
            })
        let list = names.map { "'\($0)'" }.joined(separator: ", ")
        let source = """
            local names, tasks = { \(list) }, {}
            tasks[1] = function()
                for _, name in ipairs(names) do coroutine.resume(coroutine.create(require), name) end
                task.sleep(1)
            end
            for i, name in ipairs(names) do tasks[i + 1] = function() require(name) print(name) end end
            task.all(tasks)
            """
        for _ in 1...10 {
            let fixture = try hosted { $0.resolver = Sources(texts: texts) }
            async let run = fixture.run(source)
            await fixture.clock.sleepers(atLeast: 1)
            fixture.clock.advance(by: .seconds(1))
            _ = try await run
            #expect(fixture.lines.all == names.sorted())
        }
    }
}
