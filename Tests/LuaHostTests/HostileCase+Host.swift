import LuaHost

/// Scripts that misuse the host, or look for a way out.
extension HostileCase {
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
