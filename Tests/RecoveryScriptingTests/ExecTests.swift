import Foundation
import Glibc
import LuaHost
import TestSupport
import Testing

@testable import RecoveryScripting

@Suite("exec", .timeLimit(.minutes(5)))
struct ExecTests {
    private func run(_ text: String, arguments: [String] = []) async throws -> RunOutcome {
        try await Bench().run(text, powers: [.exec], arguments: arguments)
    }

    @Test("Words reach the program as they are: there is no shell to read them")
    func words() async throws {
        let outcome = try await run(
            "return exec({ 'printf', '%s|', 'a b; $(id) `id` *', '', '\"', 7 }).stdout")
        #expect(outcome.values == ["a b; $(id) `id` *||\"|7|"], "\(outcome)")
    }

    @Test("A status is a value; with check it is an error that holds the result")
    func status() async throws {
        let outcome = try await run(
            """
            local r = exec { "sh", "-c", "echo out; echo err >&2; exit 3" }
            local ok, e = pcall(exec, { "sh", "-c", "echo no space left >&2; exit 4", check = true })
            return r.status, r.stdout, r.stderr, r.signal, ok, e.kind, e.value.status, e.message
            """)
        #expect(
            outcome.values == [
                3, "out\n", "err\n", .nil, false, "failed", 4, "exec: 'sh' ended with status 4: no space left",
            ], "\(outcome)")
    }

    @Test("A signal that ends the program is told")
    func signal() async throws {
        let outcome = try await run("local r = exec { 'sh', '-c', 'kill -9 $$' } return r.status, r.signal")
        #expect(outcome.values == [.nil, 9], "\(outcome)")
    }

    @Test("The program has a small environment of its own, and what the script adds")
    func environment() async throws {
        setenv("PERILUNE_TEST_SECRET", "s3cret", 1)
        defer { unsetenv("PERILUNE_TEST_SECRET") }
        let outcome = try await run("return exec({ 'env', env = { LEVEL = 'a=b c' } }).stdout")
        let lines = outcome.values.first?.text?.split(separator: "\n").sorted() ?? []
        #expect(lines.map { $0.prefix { $0 != "=" } } == ["HOME", "LC_ALL", "LEVEL", "PATH"], "\(outcome)")
        #expect(lines.contains("LEVEL=a=b c"))
    }

    @Test("The program inherits none of the files that this process has open")
    func inheritance() async throws {
        // Open across the start of programs, as the files of a careless library would be.
        let file = open("/etc/passwd", O_RDONLY)
        let descriptor = fcntl(file, F_DUPFD, 200)
        defer { [file, descriptor].forEach { close($0) } }
        #expect(descriptor >= 200)
        let outcome = try await run(
            "return exec({ 'sh', '-c', 'for f in /proc/$$/fd/*; do echo ${f##*/}; done' }).stdout")
        let open = Set(outcome.values.first?.text?.split(separator: "\n").compactMap { Int32($0) } ?? [])
        #expect(open.isSuperset(of: [0, 1, 2]) && !open.contains(descriptor), "\(outcome)")
    }

    @Test("Input is given byte for byte, and a program that does not read it holds nothing up")
    func input() async throws {
        let outcome = try await run(
            """
            local told = exec { "cat", input = "a\\0b\\255" }
            local ignored = exec { "true", input = ("x"):rep(8 * 2^20) }
            return told.stdout, ignored.status, exec({ "cat" }).stdout
            """)
        #expect(outcome.values == [.string(LuaString(bytes: [97, 0, 98, 255])), 0, ""], "\(outcome)")
    }

    @Test("A program runs in the folder it is given")
    func folder() async throws {
        let scratch = try Scratch()
        let outcome = try await run("return exec({ 'pwd', '-P', cwd = ... }).stdout", arguments: [scratch.path])
        let real = URL(filePath: scratch.path).resolvingSymlinksInPath().path
        #expect(outcome.values == [LuaValue(real + "\n")], "\(outcome)")
    }

    @Test("Of a huge output the beginning is kept, and that it was cut is told")
    func hugeOutput() async throws {
        let outcome = try await run(
            """
            local r = exec { "sh", "-c", "head -c 30000000 /dev/zero; head -c 1048576 /dev/zero >&2; exit 5" }
            return #r.stdout, r.stdout_cut, #r.stderr, r.stderr_cut, r.status
            """)
        #expect(outcome.values == [1_048_576, true, 1_048_576, false, 5], "\(outcome)")
    }

    @Test(
        "A program that takes too long is ended with all of its group",
        arguments: [
            // Both heed nothing but a kill.
            "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $$ $! > $0; while :; do sleep 0.1; done",
            // The leader goes when asked, and leaves behind who does not.
            "(trap '' TERM; while :; do sleep 0.1; done) & echo $$ $! > $0; wait",
            // Nothing of it can be heard any more.
            "sleep 600 & echo $$ $! > $0; exec >&- 2>&- 0<&-; wait",
        ])
    func timeout(script: String) async throws {
        let scratch = try Scratch()
        // On a busy machine the script may be ended before it has said who it is.
        for limit in [2, 20, 100] where scratch.text("pids")?.hasSuffix("\n") != true {
            let outcome = try await run(
                """
                local limit, script, file = ...
                local ok, e = pcall(exec, { "sh", "-c", script, file, timeout = limit .. "s" })
                return ok, e.kind, e.message, e.retryable
                """, arguments: ["\(limit)", script, scratch("pids")])
            let message = "exec: 'sh' did not end within \(limit) s and was ended"
            #expect(outcome.values == [false, "timeout", LuaValue(message), true], "\(outcome)")
        }
        try await Self.expectNoneAlive(scratch.text("pids"), count: 2)
    }

    @Test("Of many programs at once, those that are ended early disturb no other")
    func manyAtOnce() async throws {
        let outcome = try await run(
            """
            local list = {}
            for i = 1, 90 do list[i] = i end
            local results = task.map(list, { limit = 12 }, function(i)
              if i % 3 == 0 then
                local ok, e = pcall(exec, { "sh", "-c", "yes; sleep 600", timeout = "50ms" })
                return e.kind
              elseif i % 3 == 1 then
                return #exec({ "head", "-c", "900000", "/dev/zero" }).stdout
              end
              return exec({ "cat", input = "number " .. i }).stdout
            end)
            for i, result in ipairs(results) do
              local expected = i % 3 == 0 and "timeout" or i % 3 == 1 and 900000 or "number " .. i
              if result ~= expected then return i, result end
            end
            return #results
            """)
        #expect(outcome.values == [90], "\(outcome)")
    }

    @Test("A task that is cancelled ends the program that it waits for")
    func cancellation() async throws {
        let scratch = try Scratch()
        let outcome = try await Bench().run(
            """
            local pids = ...
            return task.race {
              function() exec { "sh", "-c", "sleep 600 & echo $$ $! > $0; wait", pids, timeout = "1h" } end,
              function()
                while not (files.exists("pids") and files.read("pids"):find("\\n")) do task.sleep("20ms") end
                return "first"
              end,
            }
            """,
            powers: [.exec, .files], folders: [GrantedFolder(path: scratch.path, isWritable: false)],
            arguments: [scratch("pids")])
        #expect(outcome.values == ["first"], "\(outcome)")
        try await Self.expectNoneAlive(scratch.text("pids"), count: 2)
    }

    @Test("What a program leaves in the background is not waited for")
    func background() async throws {
        let outcome = try await run(
            "local r = exec { 'sh', '-c', 'sleep 600 & echo $!', timeout = '5min' } return r.stdout, r.status")
        let pid = outcome.values.first?.text.flatMap { pid_t($0.dropLast()) }
        #expect(outcome.values.last == 0 && pid != nil, "\(outcome)")
        if let pid, pid > 1 { kill(pid, SIGKILL) }
    }

    @Test(
        "What cannot be run is refused, and says so",
        arguments: [
            ("exec { 'true\\0x' }", "argument", "word 1"), ("exec { 'printf', 'a\\0b' }", "argument", "word 2"),
            ("exec { 'printf', {} }", "argument", "word 2"), ("exec { 'printf', 1.5 }", "argument", "word 2"),
            ("exec {}", "argument", "empty"), ("exec { '' }", "argument", "empty"),
            ("exec { nil, 'x' }", "argument", "empty"),
            ("exec('true')", "argument", "'command' must be"),
            ("exec { 'true', tiemout = 3 }", "argument", "'tiemout'"),
            ("exec { 'true', timeout = 'soon' }", "argument", "'timeout'"),
            ("exec { 'true', timeout = 0 }", "argument", "'timeout'"),
            ("exec { 'true', env = { ['A=B'] = 'c' } }", "argument", "'env'"),
            ("exec { 'true', env = { A = 'c\\0d' } }", "argument", "'env'"),
            ("exec { 'true', env = { [''] = 'c' } }", "argument", "'env'"),
            ("exec { 'true', input = {} }", "argument", "'input'"),
            ("exec { 'true', cwd = '/\\0' }", "argument", "'cwd'"),
            ("exec { 'no-such-program-here' }", "not-found", "no-such-program-here"),
            ("exec { '/no/such/program' }", "not-found", "/no/such/program"),
            ("exec { 'true', cwd = '/no/such/folder' }", "not-found", "/no/such/folder"),
            ("exec { '/etc/passwd' }", "failed", "/etc/passwd"),
        ])
    func refused(call: String, kind: String, word: String) async throws {
        let error = try #require(try await run(call).error, "\(call) was not refused")
        #expect(error.kind.rawValue == kind && error.description.contains(word), "\(error)")
    }

    @Test("No error shows arguments, environment or input")
    func secrets() async throws {
        let outcome = try await run(
            """
            local secrets = { "sh", "-c", "exit 3", "s3cret", input = "s3cret", env = { A = "s3cret" }, check = true }
            local _, failed = pcall(exec, secrets)
            local _, late = pcall(exec, { "sleep", "600", "s3cret", timeout = "100ms" })
            local _, missing = pcall(exec, { "/no/such", "s3cret" })
            return tostring(failed), tostring(late), tostring(missing)
            """)
        #expect(outcome.values.count == 3 && !"\(outcome.values)".contains("s3cret"), "\(outcome)")
    }

    /// Waits until the processes are gone, or wait for somebody to ask how they ended: a kill takes a moment.
    private static func expectNoneAlive(_ text: String?, count: Int) async throws {
        let pids = try #require(text).split { $0.isWhitespace }
        #expect(pids.count == count)
        let deadline = ContinuousClock.now + .seconds(10)
        while let alive = pids.first(where: isAlive) {
            guard ContinuousClock.now < deadline else {
                Issue.record("process \(alive) is alive")
                return
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func isAlive(_ pid: Substring) -> Bool {
        let state = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
            .split(separator: " ").dropFirst(2).first
        return state.map { !["Z", "X"].contains($0) } ?? false
    }
}
