import LuaHost

/// Scripts that do not end, or hoard.
extension HostileCase {
    static let loops: [HostileCase] = [
        .init(1, "a loop", "while true do end", .endedByBudget),
        .init(1, "a goto loop", "::again:: goto again", .endedByBudget),
        .init(1, "a tail call loop", "local function f() return f() end f()", .endedByBudget),
        .init(
            2, "pcall of a loop in a loop", "while true do pcall(function() while true do end end) end", .endedByBudget),
        .init(
            3, "a message handler that loops",
            "local function loop() while true do end end while true do xpcall(loop, loop) end", .endedByBudget),
        .init(
            3, "a handler for a plain error loops", "xpcall(error, function() while true do end end)", .endedByBudget),
        .init(4, "a coroutine that loops", "coroutine.wrap(function() while true do end end)()", .endedByBudget),
        .init(
            4, "new coroutines for ever",
            "while true do coroutine.resume(coroutine.create(function() while true do end end)) end", .endedByBudget),
        .init(
            5, "a finalizer", "setmetatable({}, { __gc = function() while true do end end })", .fails(.argument)),
        .init(
            5, "a finalizer added later never runs",
            """
            local meta, ran = {}, false
            for i = 1, 1000 do setmetatable({}, meta) end
            meta.__gc = function() ran = true while true do end end
            for i = 1, 100000 do local t = { i } end
            return ran
            """, .gives([false])),
        .init(
            6, "a close handler that loops after the abort",
            "local c <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
            .endedByBudget),
        .init(
            6, "a close handler that raises after the abort",
            "local c <close> = setmetatable({}, { __close = function() error('second') end }) while true do end",
            .endedByBudget),
        .init(
            6, "close handlers in a row of coroutines",
            """
            local function guard() return setmetatable({}, { __close = function() pcall(function() while true do end end) end }) end
            local function nest(n) local c <close> = guard() if n > 0 then coroutine.wrap(nest)(n - 1) end while true do end end
            nest(20)
            """, .endedByBudget),
        .init(
            9, "a pattern of many short repeats", "return (('a'):rep(30)):find(('a-'):rep(30) .. 'b')", .endedByBudget),
        .init(
            9, "a pattern over 20 KB", "local s = ('a'):rep(20000) return s:find('.-.-.-b')", .endedByBudget),
        .init(9, "match", "return (('a'):rep(40)):match(('a?'):rep(40) .. ('a'):rep(39) .. 'b')", .endedByBudget),
        .init(9, "gsub", "return (('a'):rep(3000)):gsub('(.-)(.-)(.-)b', '%1')", .endedByBudget),
        .init(9, "gmatch", "for x in (('a'):rep(3000)):gmatch('.-.-.-b') do end", .endedByBudget),
        .init(
            9, "a pattern in pcall in a loop",
            "while true do pcall(string.find, ('a'):rep(30), ('a-'):rep(30) .. 'b') end", .endedByBudget),
        .init(
            9, "gsub whose function loops", "('x'):gsub('x', function() while true do end end)", .endedByBudget),
        .init(
            9, "many calls of long library functions",
            "local t = {} for i = 1, 50000 do t[i] = -i end while true do table.sort(t) end", .endedByBudget),
        .init(
            9, "inserting at the front", "local t = {} while true do table.insert(t, 1, 0) end", .endedByBudget),
    ]

    static let memory: [HostileCase] = [
        .init(7, "a text of 1 GB", "return ('x'):rep(1e9)", .fails(.size)),
        .init(7, "a text of 2 GB", "return ('x'):rep(2^31)", .fails(.size)),
        .init(7, "a text of 2 GB with separators", "return string.rep('', 2^31, 'ab')", .fails(.size)),
        .init(8, "endless repeats of nothing", "return (''):rep(1 << 60)", .fails(.size)),
        .init(
            8, "endless repeats of nothing with a separator of nothing", "string.rep('', 1 << 60, '')", .fails(.size)),
        .init(8, "some repeats of nothing", "return (''):rep(1000), (''):rep(-1), (''):rep(0)", .gives(["", "", ""])),
        .init(10, "doubling a text", "local s = 'x' while true do s = s .. s end", .fails(.memory)),
        .init(10, "a table that grows", "local t = {} for i = 1, 1e9 do t[i] = { i } end", .fails(.memory)),
        .init(
            10, "long texts kept", "local a, keep = ('x'):rep(8000000), {} for i = 1, 50 do keep[i] = a .. i end",
            .fails(.memory)),
        .init(
            10, "one instruction that makes a huge text",
            "local a = ('x'):rep(8000000) pcall(function() return a" + String(repeating: "..a", count: 150) + " end)",
            .fails(.memory)),
        .init(10, "packing more than may be", "string.pack('c9000000', '')", .fails(.size)),
        .init(
            10, "a hoard of coroutines", "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end",
            .fails(.memory)),
        .init(
            10, "a text made by gsub", "local s = 'x' while true do s = s:gsub('.', '%0%0%0%0') end", .fails(.memory),
            fuel: 50_000_000),
        .init(
            10, "a text made by concat",
            "local t = { 'x' } for i = 1, 1e9 do t[i + 1] = table.concat(t, 'and') end", .fails(.memory)),
        .init(
            11, "catching out-of-memory in a loop",
            "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(100000) end) end", .fails(.memory)),
        .init(
            11, "catching refused requests in a loop",
            "local s = ('x'):rep(1 << 20) while true do pcall(function() s = s .. s .. s end) end", .fails(.memory)),
        .init(12, "stopping the collector", "collectgarbage('stop')", .fails(.argument)),
        .init(12, "forcing the collector", "collectgarbage()", .fails(.argument)),
        .init(
            12, "forcing the collector while loading", "load(function() collectgarbage('step') end)", .fails(.argument)),
        .init(15, "a weak table", "setmetatable({}, { __mode = 'k' })", .fails(.argument)),
        .init(
            15, "a weak metatable", "local m = setmetatable({}, { __mode = 'v' }) setmetatable({}, m)",
            .fails(.argument)),
    ]
}
