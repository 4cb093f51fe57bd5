import LuaHost

/// Scripts that recurse, tamper with the language, or wait where that is not possible.
extension HostileCase {
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
}
