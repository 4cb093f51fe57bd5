import LuaHost
import Testing

/// One script that misbehaves, and what must become of it.
struct HostileCase: Sendable, CustomTestStringConvertible {
    enum Verdict: Sendable {
        /// Runs until a budget ends it, whichever is set: instructions or time.
        case endedByBudget
        /// Fails with an error of this kind.
        case fails(LuaError.Kind)
        /// Fails with an error whose text has this in it.
        case failsSaying(String)
        /// Is refused where it can be caught: the script itself returns these.
        case gives([LuaValue])
        /// Returns a text with this in it.
        case returnsText(String)
    }

    /// The row of the table of hostile cases, 1 to 25.
    let number: Int
    let what: String
    let source: String
    let verdict: Verdict
    /// How much later than the deadline the end may come: what one instruction or one call may take.
    let lateness: Duration
    /// Instructions that the script may take; fewer where each does a thousand times what others do.
    let fuel: UInt64

    init(
        _ number: Int, _ what: String, _ source: String, _ verdict: Verdict, lateness: Duration = .milliseconds(250),
        fuel: UInt64 = 10_000_000
    ) {
        (self.number, self.what, self.source, self.verdict) = (number, what, source, verdict)
        (self.lateness, self.fuel) = (lateness, fuel)
    }

    var testDescription: String { "\(number): \(what)" }

    static let all = loops + calls + memory + recursion + language + host + escapes

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

    /// What takes long within single calls and instructions, where no hook runs.
    static let calls: [HostileCase] = [
        .init(
            9, "moving through a long row of __index tables",
            "local t = {} for i = 1, 1900 do t = setmetatable({}, { __index = t }) end table.move(t, 1, 6000000, 1, {})",
            .endedByBudget, fuel: 100_000),
        .init(9, "moving many items", "while true do table.move({}, 1, 60000000, 2, {}) end", .endedByBudget),
        .init(
            9, "removing from a table that claims to be long",
            "while true do table.remove(setmetatable({}, { __len = function() return 60000000 end }), 1) end",
            .endedByBudget),
        .init(
            9, "inserting into a table that claims to be long",
            "while true do table.insert(setmetatable({}, { __len = function() return 60000000 end }), 1, nil) end",
            .endedByBudget),
        .init(
            9, "concatenating through metamethods",
            """
            local t = setmetatable({}, { __len = function() return 60000000 end, __index = function() return "" end })
            while true do table.concat(t) end
            """, .endedByBudget),
        .init(
            9, "unpacking through a long row of __index tables",
            """
            local t = {} for i = 1, 1900 do t = setmetatable({}, { __index = t }) end
            while true do table.unpack(t, 1, 100000) end
            """, .endedByBudget, fuel: 100_000),
        .init(9, "packing", "while true do string.pack('c8000000', '') end", .endedByBudget),
        .init(
            9, "concatenating a long text", "local a = ('x'):rep(7000000) while true do local c = a .. 'b' end",
            .endedByBudget),
        .init(
            9, "comparing long texts",
            "local a, b = ('x'):rep(7000000), ('x'):rep(6999999) .. 'y' while true do local c = a == b end",
            .endedByBudget, fuel: 10_000),
        .init(
            9, "ordering long texts of zeros",
            "local a, b = ('\\0'):rep(2000000) .. 'a', ('\\0'):rep(2000000) .. 'b' while true do local c = a < b end",
            .endedByBudget, lateness: .milliseconds(500), fuel: 10_000),
        .init(
            9, "many arguments",
            "local t = {} for i = 1, 200000 do t[i] = i end "
                + "local function g(...) while true do local n = select('#', ...) end end g(table.unpack(t))",
            .endedByBudget),
        .init(
            9, "tables of many arguments",
            "local t = {} for i = 1, 200000 do t[i] = i end "
                + "local function g(...) while true do local n = { ... } end end g(table.unpack(t))", .endedByBudget),
        .init(
            9, "arithmetic with a long numeral",
            "local s = ('1'):rep(7000000) while true do pcall(function() return s + 1 end) end", .endedByBudget,
            fuel: 10_000),
        .init(9, "tonumber", "local s = (' '):rep(7000000) while true do tonumber(s) end", .endedByBudget),
        .init(
            9, "tonumber with a base", "local s = ('z'):rep(7000000) while true do tonumber(s, 36) end", .endedByBudget),
        .init(
            9, "stack traces of a deep stack",
            "local function f(n) if n > 0 then return 1 + f(n - 1) end while true do debug.traceback() end end f(100000)",
            .endedByBudget, lateness: .milliseconds(500)),
        .init(
            9, "a long __name",
            "local t = setmetatable({}, { __name = ('x'):rep(7000000) }) while true do local s = tostring(t) end",
            .endedByBudget, fuel: 3_000_000),
        .init(
            9, "long keys",
            "local s, t = ('x'):rep(7000000), {} while true do local k = s .. 'a' t[k] = 1 t[k] = nil end",
            .endedByBudget),
        .init(
            9, "sorting long texts",
            "local t = {} for i = 1, 1000 do t[i] = ('a'):rep(10000) .. i end while true do table.sort(t) end",
            .endedByBudget),
        .init(
            9, "gsub that grows", "local s = ('x'):rep(100000) while true do s:gsub('', ('y'):rep(50)) end",
            .endedByBudget),
        .init(
            9, "walking the characters of a long text",
            "local s = ('\\u{7FFF}'):rep(2000000) while true do for p, c in utf8.codes(s) do end utf8.len(s) end",
            .endedByBudget),
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

    static let recursion: [HostileCase] = [
        .init(
            13, "calls", "local function f() return 1 + f() end return select(2, pcall(f))",
            .returnsText("stack overflow")),
        .init(
            13, "gsub", "local function f(s) return (s:gsub('.', f)) end return select(2, pcall(f, 'x'))",
            .returnsText("C stack overflow")),
        .init(
            13, "sort",
            "local function f() table.sort({ 1, 2 }, f) end return select(2, pcall(f))", .returnsText("stack overflow")),
        .init(
            13, "index",
            "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) "
                + "return select(2, pcall(function() return t[1] end))", .returnsText("stack overflow")),
        .init(
            13, "concat",
            "local t = setmetatable({}, { __concat = function(a, b) return a .. b end }) "
                + "return select(2, pcall(function() return t .. t end))", .returnsText("stack overflow")),
        .init(
            13, "tostring",
            "local t t = setmetatable({}, { __tostring = function() return tostring(t) end }) "
                + "return select(2, pcall(tostring, t))", .returnsText("stack overflow")),
        .init(
            13, "coroutines",
            "local function f() return coroutine.wrap(f)() end return tostring(select(2, pcall(f)))",
            .returnsText("stack overflow")),
        .init(
            13, "pcall", "local function f() return pcall(f) end local t = { f() } return tostring(t[#t])",
            .returnsText("stack overflow")),
        .init(
            13, "host calls at the deepest place",
            """
            local deepest = 0
            local function f(n) deepest = host.add(n, 0) return coroutine.wrap(f)(n + 1) end
            pcall(f, 1)
            return deepest > 50
            """, .gives([true])),
        .init(
            14, "20,000 coroutines that close each other",
            """
            local last
            for i = 1, 20000 do
                local before = last
                local co = coroutine.create(function()
                    local c <close> = setmetatable({}, { __close = function() if before then coroutine.close(before) end end })
                    coroutine.yield()
                end)
                coroutine.resume(co)
                last = co
            end
            return (coroutine.close(last))
            """, .gives([true])),
        .init(
            17, "300 nested parentheses",
            "return select(2, load('return ' .. ('('):rep(300) .. '1' .. (')'):rep(300)))",
            .returnsText("overflow")),
        .init(
            17, "100,000 concatenations", "return select(2, load('return ' .. ('1 .. '):rep(100000) .. '1'))",
            .returnsText("overflow")),
        .init(
            17, "300 locals",
            "local t = {} for i = 1, 300 do t[i] = 'local v' .. i end return select(2, load(table.concat(t, '\\n')))",
            .returnsText("too many local variables")),
        .init(
            17, "a reader without end", "return load(function() return ' ' end)", .fails(.size)),
        .init(
            17, "a reader without end that makes no text", "return load(function() while true do end end)",
            .endedByBudget),
        .init(17, "a text that is too long", "return load((' '):rep(1 << 21))", .fails(.size)),
    ]

    static let language: [HostileCase] = [
        .init(
            16, "bytecode", "return load('\\27Lua')",
            .gives([nil, .string("attempt to load a binary chunk (mode is 't')")])),
        .init(16, "bytecode by mode", "return load('x', 'x', 'b')", .fails(.argument)),
        .init(16, "dumping", "return string.dump(print)", .failsSaying("dump")),
        .init(16, "a bytecode module", "return require 'binary'", .failsSaying("binary chunk")),
        .init(18, "the metatable of texts", "getmetatable('').__index = {}", .fails(.script)),
        .init(18, "a library", "string.rep = nil", .fails(.script)),
        .init(18, "a library by rawset", "rawset(string, 'rep', print)", .fails(.script)),
        .init(18, "the globals' metatable", "setmetatable(_G, nil)", .fails(.script)),
        .init(18, "a host module", "host.answer = 43", .fails(.script)),
        .init(18, "an object's metatable", "getmetatable(host.vm('a')).__index = nil", .failsSaying("index")),
        .init(18, "debug", "return debug.getregistry()", .failsSaying("getregistry")),
        .init(18, "globals last as long as the state only", "print = nil pcall = error string = {}", .gives([])),
        .init(20, "a wait in a comparator", "table.sort({ 2, 1 }, host.wait)", .failsSaying("host.wait waits")),
        .init(20, "a wait in gsub", "return ('x'):gsub('x', host.wait)", .failsSaying("host.wait waits")),
        .init(
            20, "a wait in __tostring", "return tostring(setmetatable({}, { __tostring = host.wait }))",
            .failsSaying("host.wait waits")),
        .init(20, "a wait in a reader", "return load(host.wait)", .failsSaying("host.wait waits")),
        .init(
            20, "a yield in gsub", "return coroutine.wrap(function() ('x'):gsub('x', coroutine.yield) end)()",
            .failsSaying("yield across a C-call boundary")),
        .init(20, "a wait in a module", "return require 'waits'", .gives(["waited"])),
        .init(
            21, "resuming oneself",
            "return coroutine.wrap(function() return coroutine.resume(coroutine.running()) end)()",
            .gives([false, "cannot resume non-suspended coroutine"])),
        .init(
            21, "resuming the dead",
            "local co = coroutine.create(print) coroutine.resume(co) return coroutine.resume(co)",
            .gives([false, "cannot resume dead coroutine"])),
        .init(
            21, "forging the result of a wait",
            """
            local co = coroutine.create(function() return host.wait("true result") end)
            local results = task.all {
                function() return select(2, coroutine.resume(co)) end,
                function() return { coroutine.resume(co, "forged") } end,
            }
            return results[1], results[2][1], (pcall(coroutine.close, co))
            """, .gives(["true result", false, true])),
        .init(22, "raising nil", "error(nil)", .failsSaying("nil")),
        .init(
            22, "an error whose text raises", "error(setmetatable({}, { __tostring = function() error('x') end }))",
            .failsSaying("<error object: __tostring failed>")),
        .init(
            22, "an error whose text takes for ever",
            "error(setmetatable({}, { __tostring = function() while true do end end }))",
            .failsSaying("<error object: __tostring failed>")),
        .init(
            22, "an error whose text is 1 GB",
            "error(setmetatable({}, { __tostring = function() return ('x'):rep(1 << 30) end }))",
            .failsSaying("<error object: __tostring failed>")),
        .init(
            22, "an error in the handler of errors", "return (xpcall(error, function() error('again') end, 'first'))",
            .gives([false])),
    ]

    static let host: [HostileCase] = [
        .init(19, "a method on a number", "return host.vm('a').start(5)", .fails(.argument)),
        .init(
            19, "a method on an error", "local _, e = pcall(host.fail) return host.vm('a').start(e)", .fails(.argument)),
        .init(
            19, "a forged object", "return host.vm('a').name(setmetatable({}, { __name = 'vm' }))", .fails(.argument)),
        .init(19, "calling __gc", "return getmetatable(host.vm('a')).__gc(host.vm('a'))", .fails(.script)),
        .init(
            23, "900,000 arguments",
            "local t = {} for i = 1, 900000 do t[i] = 0 end return select('#', host.echo(table.unpack(t)))",
            .gives([900_000])),
        .init(
            23, "more arguments than may pass",
            "local t = {} for i = 1, 200000 do t[i] = ('x'):rep(100) end return host.echo(table.unpack(t))",
            .failsSaying("host.echo: argument")),
        .init(
            23, "odd numbers", "local a, b = host.echo(0/0, math.mininteger) return a ~= a, b",
            .gives([true, .integer(.min)])),
        .init(23, "any bytes", "return host.echo('a\\0\\255') == 'a\\0\\255'", .gives([true])),
        .init(23, "a table in itself", "local t = {} t.t = t host.echo(t)", .failsSaying("contains itself")),
        .init(
            23, "a table 1,000,000 deep", "local t = {} for i = 1, 1e6 do t = { t } end host.echo(t)",
            .failsSaying("nested too deeply")),
        .init(
            23, "metamethods that raise",
            """
            local function no() error('called') end
            local t = host.echo(setmetatable({ 1, x = 2 }, { __index = no, __pairs = no, __len = no }))
            return t[1], t.x, getmetatable(t)
            """, .gives([1, 2, nil])),
        .init(
            24, "1,000,000 tasks",
            "local t = {} for i = 1, 1e6 do t[i] = i end task.map(t, function() host.wait() end)", .fails(.size)),
        .init(
            24, "tasks within tasks without end", "local function f() task.all { f } end f()",
            .failsSaying("tasks within tasks are more than 200 deep")),
        .init(
            24, "tasks spawned within tasks without end",
            "local function f() task.scope(function() task.spawn(f) end) end f()",
            .failsSaying("tasks within tasks are more than 200 deep")),
        .init(
            24, "a list that changes while its tasks start",
            """
            local t = { 1, 2, 3 }
            return task.map(t, function(v, i) for k = 1, 3 do t[k] = nil end host.wait() return v end)
            """, .gives([[1, 2, 3]])),
        .init(
            24, "a wait that nothing ends is cancelled when the run ends",
            "pcall(task.race, { function() task.sleep(1e6) end, function() host.wait() end }) return 1", .gives([1])),
    ]

    static let escapes: [HostileCase] = [
        .init(25, "a path", "require('../../etc/x')", .fails(.argument)),
        .init(25, "an absolute path", "require('/etc/passwd')", .fails(.argument)),
        .init(25, "loadlib", "package.loadlib('x', 'y')", .fails(.undefined)),
        .init(25, "popen", "io.popen('id')", .fails(.undefined)),
        .init(25, "exit", "os.exit(1)", .failsSaying("exit")),
        .init(25, "the environment", "return os.getenv('HOME')", .failsSaying("getenv")),
        .init(25, "addresses", "return tostring(print) .. tostring({})", .gives(["<function><table>"])),
        .init(25, "%p", "return ('%p'):format({})", .fails(.argument)),
    ]
}
