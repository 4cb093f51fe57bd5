import Foundation
import LuaHost
import Synchronization
import Testing

@Suite struct ThreadTests {
    /// How often a body had its turn, and whether it is to end.
    private final class Turns: Sendable {
        let count = Atomic(0)
        let isDone = Atomic(false)
    }

    @Test func luaRunsOnItsOwnThreadWithALargeStack() async throws {
        let seen = Mutex<[(thread: pthread_t, stack: Int)]>([])
        let note: @Sendable () -> Void = {
            let here = (pthread_self(), Thread.current.stackSize)
            seen.withLock { $0.append(here) }
        }
        let fixture = try hosted {
            $0.modules.append(
                HostModule(
                    "thread",
                    functions: [
                        HostFunction(
                            "note",
                            .synchronous { _, _ in
                                note()
                                return []
                            })
                    ]))
        }
        _ = try await fixture.run("thread.note() host.wait() thread.note() task.all { thread.note }")
        let notes = seen.withLock { $0 }
        #expect(notes.count == 3)
        #expect(Set(notes.map(\.thread)).count == 1)
        #expect(notes.allSatisfy { $0.stack == 16 << 20 })
    }

    /// Functions that tell which threads serve them: `where` on Lua's, `wait` before and after a wait that another thread ends.
    private static func threads(_ note: @escaping @Sendable () -> Void) -> HostModule {
        HostModule(
            "thread",
            functions: [
                HostFunction(
                    "where",
                    .synchronous { _, _ in
                        note()
                        return []
                    }),
                HostFunction(
                    "wait",
                    .asynchronous { _, arguments in
                        note()
                        await withCheckedContinuation { continuation in
                            Thread { continuation.resume() }.start()
                        }
                        note()
                        await Task.yield()
                        note()
                        return arguments
                    }),
            ])
    }

    private func served(on executor: (any TaskExecutor)?) async throws -> [pthread_t] {
        let seen = Mutex<[pthread_t]>([])
        let note: @Sendable () -> Void = {
            let here = pthread_self()
            seen.withLock { $0.append(here) }
        }
        let fixture = try hosted {
            $0.modules.append(Self.threads(note))
            $0.hostExecutor = executor
        }
        #expect(try await fixture.run("thread.where() return thread.wait(7)") == [7])
        return seen.withLock { $0 }
    }

    @Test func bodiesOfFunctionsThatWaitRunOnTheThreadOfLua() async throws {
        let threads = try await served(on: nil)
        #expect(threads.count == 4)
        #expect(Set(threads).count == 1)
    }

    @Test func bodiesRunWhereTheHostSays() async throws {
        let other = LuaThread(stackSize: 1 << 20)
        let threads = try await served(on: other)
        #expect(threads.count == 4)
        #expect(Set(threads.dropFirst()).count == 1)
        #expect(threads[1] != threads[0])
    }

    /// A body that goes on for long between waits of its own lets Lua and other bodies have their turns.
    @Test func bodiesAndLuaTakeTurns() async throws {
        let turns = Turns()
        let fixture = try hosted {
            $0.modules.append(
                HostModule(
                    "turns",
                    functions: [
                        HostFunction(
                            "until_done",
                            .asynchronous { _, _ in
                                while !turns.isDone.load(ordering: .relaxed) {
                                    turns.count.add(1, ordering: .relaxed)
                                    await Task.yield()
                                }
                                return []
                            }),
                        HostFunction(
                            "done",
                            .synchronous { _, _ in
                                turns.isDone.store(true, ordering: .relaxed)
                                return []
                            }),
                    ]))
        }
        let source = """
            return select("#", task.all {
                turns.until_done,
                function() for i = 1, 100 do host.wait(i) end turns.done() end,
            })
            """
        #expect(try await fixture.run(source) == [1])
        #expect(turns.count.load(ordering: .relaxed) > 10)
    }

    @Test func manyStatesRunSideBySide() async throws {
        try await withThrowingTaskGroup(of: [LuaValue].self) { group in
            for i in 0..<20 {
                group.addTask {
                    try await hosted().run("local n = ... host.wait() return n * 2", arguments: [LuaValue(i)])
                }
            }
            var results: [LuaValue] = []
            for try await values in group { results += values }
            #expect(results.compactMap(\.integer).sorted() == (0..<20).map { Int64($0 * 2) })
        }
    }
}
