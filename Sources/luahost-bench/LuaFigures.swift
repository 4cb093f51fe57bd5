import BenchFigures
import CLuaYardstick
import LuaHost

struct BenchError: Error { let what: String }

private let calls = 400_000
private let states = 200
private let loops = 8_000_000

/// Functions that are made in the same way as those of the yardstick.
private let hostModule = HostModule(
    "host",
    functions: [
        HostFunction(
            "add",
            .direct { arguments, results throws(LuaError) in
                results.write(try arguments.integer(1) &+ arguments.integer(2))
            }),
        HostFunction(
            "add_plain", .synchronous { _, a in [.integer((a[0].integer ?? 0) &+ (a[1].integer ?? 0))] }),
        HostFunction(
            "text",
            .direct { arguments, results throws(LuaError) in
                results.write("vm-\(try arguments.integer(1)).site-north")
            }),
        HostFunction("text_plain", .synchronous { _, a in [LuaValue("vm-\(a[0].integer ?? 0).site-north")] }),
        HostFunction(
            "options",
            .direct { arguments, results throws(LuaError) in
                guard case .table(let table) = arguments.value(1) else { return }
                results.write(Int64(table.fields.count))
            }),
        HostFunction("wait", .asynchronous { _, a in a }),
        HostFunction(
            "yield",
            .asynchronous { _, a in
                await Task.yield()
                return a
            }),
    ])

func benchState() throws -> LuaState {
    var configuration = LuaConfiguration()
    configuration.modules = [hostModule]
    return try LuaState(configuration)
}

/// Nanoseconds of processor time.
private func timed(_ source: String) async throws -> Double {
    let state = try benchState()
    _ = try await state.run("for i = 1, 100 do host.add(i, i) host.add_plain(i, i) end", chunk: "warm.lua")
    let start = yardstick_cpu()
    _ = try await state.run(source, chunk: "bench.lua")
    return yardstick_cpu() - start
}

private func yardstick(_ source: String, hooked: Bool = false) throws -> Double {
    let time = yardstick_run(source, hooked)
    guard time >= 0 else { throw BenchError(what: "the yardstick could not run: \(source)") }
    return time
}

/// The same calls many times, less the empty loop around them.
private func perCall(_ count: Int, _ call: String, setup: String = "", _ run: (String) async throws -> Double)
    async throws
    -> Double
{
    let loop = "local host = host \(setup) for i = 1, \(count) do "
    let full = try await run(loop + call + " end")
    let empty = try await run(loop + "end")
    return (full - empty) / Double(count)
}

private let optionTable = """
    local t = { name = "orders", source = "fence", point = "latest", kind = "unplanned", limit = 4, timeout = 30,
        retries = 3, port = 5432, delay = 10, force = true, verify = false, test = true }
    """

private func call(
    _ name: String, _ function: String, against peer: String? = nil, _ goal: Figure.Goal, bound: Figure.Bound?,
    hooked: Bool = false
) -> Figure {
    Figure(
        name: name, unit: "ns", goal: goal, bound: bound,
        ours: { try await perCall(calls, "f(i, 1)", setup: "local f = host.\(function)", timed) },
        peerName: hooked ? "C, lua.h, hook" : "C, lua.h",
        peer: {
            try await perCall(calls, "f(i, 1)", setup: "local f = host.\(peer ?? function)") {
                try yardstick($0, hooked: hooked)
            }
        })
}

/// All lines on speed that LuaHost promises.
let luaFigures: [Figure] = callFigures + waitFigures + stateFigures

private let callFigures: [Figure] = [
    call("host call, two integers in, one out", "add", .ratio(2), bound: .ratio(2.4)),
    call("the same, the peer with a count hook too", "add", .none, bound: .ratio(1.75), hooked: true),
    call("the same with arrays of values", "add_plain", against: "add", .none, bound: .ratio(10.2)),
    call("host call, string result", "text", .limit(250), bound: .limit(270, whenPeerTakes: 120)),
    call("the same with arrays of values", "text_plain", against: "text", .none, bound: .ratio(4)),
    Figure(
        name: "table of 12 options to Swift", unit: "ns", goal: .limit(1500), bound: .limit(1500, whenPeerTakes: 200),
        ours: { try await perCall(calls / 4, "host.options(t)", setup: optionTable, timed) },
        peerName: "C, lua.h",
        peer: { try await perCall(calls / 4, "host.options(t)", setup: optionTable) { try yardstick($0) } }),
]

private let stateFigures: [Figure] = [
    Figure(
        name: "sandboxed state, made and let go", unit: "us", goal: .ratio(3), bound: .ratio(2.6),
        ours: {
            let start = yardstick_cpu()
            for _ in 0..<states { _ = try LuaState(LuaConfiguration()) }
            return (yardstick_cpu() - start) / 1000 / Double(states)
        }, peerName: "luaL_newstate, openlibs, close", peer: { yardstick_state(Int32(states)) / 1000 }),
    Figure(
        name: "tight loop with budgets, per turn", unit: "ns", goal: .ratio(2.3), bound: .ratio(2.6),
        ours: { try await timed(loop) / Double(loops) }, peerName: "bare lua5.4",
        peer: { try yardstick(loop) / Double(loops) }),
    Figure(
        name: "memory of a state", unit: "KiB", goal: .none, bound: .ratio(1.6),
        ours: { Double(await (try LuaState(LuaConfiguration())).usage.memory) / 1024 },
        peerName: "luaL_newstate, openlibs", peer: { Double(yardstick_state_bytes()) / 1024 }),
    Figure(
        name: "memory of a waiting task", unit: "KiB", goal: .none, bound: .limit(1.5), ours: waitingTaskMemory,
        peerName: "",
        peer: nil),
]

private let loop = "local x = 0 for i = 1, \(loops) do x = x + (i & 7) end return x"

/// Lua's share: what 1,000 tasks add that all wait.
private func waitingTaskMemory() async throws -> Double {
    let clock = VirtualClock()
    var configuration = LuaConfiguration()
    configuration.clock = clock
    let state = try LuaState(configuration)
    let before = await state.usage.memory
    async let run = state.run(
        "local t = {} for i = 1, 1000 do t[i] = i end task.map(t, function() task.sleep(1) end)", chunk: "bench.lua")
    await clock.sleepers(atLeast: 1000)
    let during = await state.usage.memory
    clock.advance(by: .seconds(1))
    _ = try await run
    return Double(during - before) / 1024 / 1000
}
