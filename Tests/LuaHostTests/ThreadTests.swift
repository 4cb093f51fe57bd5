import Foundation
import LuaHost
import Synchronization
import Testing

@Suite struct ThreadTests {
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
