import Foundation
import LuaHost
import Synchronization
import Testing

/// Lines that a script printed.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
}

/// A state with what the tests need, and its printed lines.
struct Fixture {
    let state: LuaState
    let lines = Lines()
    let clock = VirtualClock()

    init(_ change: (inout LuaConfiguration) -> Void = { _ in }) throws {
        var configuration = LuaConfiguration()
        let lines = lines
        configuration.print = { lines.add($0) }
        configuration.clock = clock
        change(&configuration)
        state = try LuaState(configuration)
    }

    func run(_ source: String, arguments: [LuaValue] = []) async throws -> [LuaValue] {
        try await state.run(source, chunk: "test.lua", arguments: arguments)
    }

    /// The error that a script ends with.
    func failure(_ source: String) async throws -> LuaError {
        do {
            _ = try await state.run(source, chunk: "test.lua")
        } catch {
            return error
        }
        Issue.record("the script was expected to fail: \(source)")
        return LuaError(.host, "no error")
    }
}

extension LuaState {
    /// What the processor has done for the thread of Lua: other load on the machine does not count.
    func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

/// Functions that return at once and functions that wait.
let testModule = HostModule(
    "host",
    functions: [
        HostFunction("add", .synchronous { _, a in [.integer((a[0].integer ?? 0) + (a[1].integer ?? 0))] }),
        HostFunction("echo", .synchronous { _, a in a }),
        HostFunction(
            "wait",
            .asynchronous { _, a in
                await Task.yield()
                return a
            }),
        HostFunction(
            "fail",
            .synchronous { _, _ in
                throw LuaError(
                    "no-space", "the disk is full", hint: "free some", rule: "space-first", retryable: true,
                    cause: LuaError(.host, "ENOSPC"))
            }),
        HostFunction(
            "wait_and_fail",
            .asynchronous { _, _ in
                await Task.yield()
                throw LuaError("lost", "the link is lost")
            }),
        HostFunction("where", .synchronous { context, _ in [LuaValue(context.where?.description)] }),
        HostFunction(
            "identity", .synchronous { context, _ in [LuaValue("\(context.task)#\(context.ordinal)")] }),
        HostFunction("vm", .synchronous { _, a in [.object(LuaObject(type: "vm", id: a[0].text ?? ""))] }),
        HostFunction("strange", .synchronous { _, _ in throw StrangeError() }),
    ],
    constants: [(name: "answer", value: 42)])

struct StrangeError: Error {}

let vmType = ObjectType(
    "vm",
    methods: [
        HostFunction("start", .asynchronous { _, a in ["started \(a[0].object?.id ?? "?")"] }),
        HostFunction("name", .synchronous { _, a in [LuaValue(a[0].object?.id)] }),
    ],
    fields: [
        HostFunction("status", .synchronous { _, _ in ["running"] }),
        HostFunction(
            "owner",
            .asynchronous { _, a in
                await Task.yield()
                return [LuaValue("owner of \(a[0].object?.id ?? "?")")]
            }),
    ])

func hosted(_ change: (inout LuaConfiguration) -> Void = { _ in }) throws -> Fixture {
    try Fixture {
        $0.modules = [testModule]
        $0.objectTypes = [vmType, ObjectType("site", describe: { _, object in "the site \(object.id)" })]
        change(&$0)
    }
}

/// Holds a context beyond its call.
final class Kept: Sendable {
    private let box = Mutex<CallContext?>(nil)
    var context: CallContext? {
        get { box.withLock { $0 } }
        set { box.withLock { $0 = newValue } }
    }
}
