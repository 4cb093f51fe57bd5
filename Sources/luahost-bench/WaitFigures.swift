import BenchFigures
import CLuaYardstick
import LuaHost

private let sleepingWaits = 300
private let quickWaits = 2_000

/// A host call that is answered by another thread once the thread of Lua is asleep.
///
/// `@unchecked Sendable`: the waker locks a mutex of its own.
private final class Answering: @unchecked Sendable {
    private let waker: OpaquePointer

    init() throws {
        let made = yardstick_waker { who in Unmanaged<Waiting>.fromOpaque(who).takeRetainedValue().resume() }
        guard let made else { throw BenchError(what: "the thread that wakes others could not be started") }
        waker = made
    }

    /// What a script calls: `watch` first, on the thread of Lua, then `wait` each time.
    var module: HostModule {
        HostModule(
            "host",
            functions: [
                HostFunction(
                    "watch",
                    .synchronous { [self] _, _ in
                        yardstick_watch(waker, yardstick_thread())
                        return []
                    }),
                HostFunction(
                    "wait",
                    .asynchronous { [self] _, arguments in
                        await withUnsafeContinuation { continuation in
                            yardstick_hand_over(waker, Unmanaged.passRetained(Waiting(continuation)).toOpaque())
                        }
                        return arguments
                    }),
            ])
    }

    /// Nanoseconds from the waking of a call to the next call that waits.
    func end() -> Double { yardstick_waker_end(waker) }

    private final class Waiting {
        private let continuation: UnsafeContinuation<Void, Never>
        init(_ continuation: UnsafeContinuation<Void, Never>) { self.continuation = continuation }
        func resume() { continuation.resume() }
    }
}

private func sleepingWait(
    _ name: String, _ goal: Figure.Goal, bound: Figure.Bound?, on executor: (any TaskExecutor)? = nil
)
    -> Figure
{
    Figure(
        name: name, unit: "us", goal: goal, bound: bound,
        ours: {
            let answering = try Answering()
            var configuration = LuaConfiguration()
            configuration.modules = [answering.module]
            configuration.hostExecutor = executor
            let state = try LuaState(configuration)
            _ = try await state.run(
                "host.watch() for i = 1, \(sleepingWaits) do host.wait(i) end", chunk: "bench.lua")
            return answering.end() / 1000
        },
        peerName: "two threads that sleep, condition variable",
        peer: { yardstick_round_trip(Int32(sleepingWaits)) / 1000 })
}

/// What a wait costs: one that lasts, beside two threads that do nothing else, and one that does not.
///
/// The first goes straight from the thread that answers to Lua's and back. The second goes over threads of the host's, as
/// with bodies that compute for long: the body is resumed on one, and the next one is started there. On a machine with
/// fewer free cores than threads they depend on who else runs: between 2.0 and 2.6 on one that is quiet.
let waitFigures: [Figure] = [
    sleepingWait(
        "host call that waits until its thread sleeps: resume, next call, suspend", .ratio(1.5), bound: .ratio(3.2)),
    sleepingWait("the same with bodies on Swift's own threads", .none, bound: nil, on: globalConcurrentExecutor),
    // Depends on whether the machine has a core to spare, so nothing is promised.
    Figure(
        name: "asynchronous host call answered at once, before any thread sleeps", unit: "us", goal: .none, bound: nil,
        ours: {
            let state = try benchState()
            let start = ContinuousClock.now
            _ = try await state.run("for i = 1, \(quickWaits) do host.wait(i) end", chunk: "bench.lua")
            return (ContinuousClock.now - start) / .microseconds(1) / Double(quickWaits)
        },
        peerName: "", peer: nil),
    // Without the waking of threads, so that it can be compared on a machine that is busy.
    Figure(
        name: "asynchronous host call that yields once, processor time", unit: "us", goal: .none, bound: nil,
        ours: {
            let state = try benchState()
            _ = try await state.run("for i = 1, 100 do host.yield(i) end", chunk: "warm.lua")
            let start = yardstick_cpu()
            _ = try await state.run("for i = 1, \(quickWaits) do host.yield(i) end", chunk: "bench.lua")
            return (yardstick_cpu() - start) / 1000 / Double(quickWaits)
        },
        peerName: "", peer: nil),
]
