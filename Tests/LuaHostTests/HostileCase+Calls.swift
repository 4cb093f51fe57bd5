import LuaHost

/// Single calls and instructions that would take too long.
extension HostileCase {
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
}
