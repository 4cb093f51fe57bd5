import Foundation
import LuaHost
import Synchronization
import Testing

@testable import RecoveryScripting

@Suite("http", .timeLimit(.minutes(5)))
struct HTTPTests {
    private func run(_ text: String, arguments: [String] = []) async throws -> RunOutcome {
        try await Bench().run(text, powers: [.http], arguments: arguments)
    }

    private func failure(_ text: String, arguments: [String] = []) async throws -> LuaError {
        try #require(try await run(text, arguments: arguments).error, "\(text) did not fail")
    }

    private static func answer(_ body: String, status: String = "200 OK", headers: String = "") -> LoopbackServer.Reply
    {
        .text("HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
    }

    private static func redirect(_ status: Int, to location: String) -> LoopbackServer.Reply {
        .text("HTTP/1.1 \(status) Elsewhere\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n")
    }

    // MARK: What is asked and answered

    @Test("An answer is a value: status, headers by small name, body")
    func get() async throws {
        let server = try LoopbackServer { _ in
            Self.answer("hello", headers: "X-Kind: Fine \r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n")
        }
        let outcome = try await run(
            """
            local r = http.get(...)
            return r.status, r.body, r.headers["x-kind"], r.headers["set-cookie"], r.url, #r.redirects
            """, arguments: [server.url("/a?b=c")])
        #expect(
            outcome.values == [200, "hello", "Fine", "a=1, b=2", LuaValue(server.url("/a?b=c")), 0], "\(outcome)")
        let request = try #require(server.requests.first)
        #expect(request.hasPrefix("GET /a?b=c HTTP/1.1\r\n") && request.contains("User-Agent: perilune\r\n"))
    }

    @Test("A status that tells of failure is no error", arguments: [404, 500, 503])
    func failureStatus(status: Int) async throws {
        let server = try LoopbackServer { _ in Self.answer("sorry", status: "\(status) No") }
        let outcome = try await run("local r = http.get(...) return r.status, r.body", arguments: [server.url("/")])
        #expect(outcome.values == [LuaValue(status), "sorry"], "\(outcome)")
    }

    @Test("A body is sent byte for byte, headers as they are written, and nothing is made up")
    func post() async throws {
        let server = try LoopbackServer { _ in Self.answer("") }
        let outcome = try await run(
            #"""
            local url = ...
            http.post { url = url, body = '{"a":"b\\c"}', headers = { ["X-Quote"] = 'say "\\no"	tab', ["X-Empty"] = "" } }
            http.request { method = "PUT", url = url, body = "a\0@b", headers = { ["Content-Type"] = "text/plain" } }
            http.request { method = "DELETE", url = url }
            return http.request({ method = "HEAD", url = url }).body
            """#, arguments: [server.url("/")])
        #expect(outcome.values == [""], "\(outcome)")
        let requests = server.requests
        try #require(requests.count == 4)
        #expect(requests[0].hasSuffix("\r\n\r\n{\"a\":\"b\\c\"}"))
        #expect(requests[0].contains("\r\nX-Quote: say \"\\no\"\ttab\r\n") && requests[0].contains("\r\nX-Empty:\r\n"))
        #expect(!requests[0].lowercased().contains("content-type") && !requests[0].lowercased().contains("expect:"))
        #expect(requests[1].hasPrefix("PUT / ") && requests[1].hasSuffix("\r\n\r\na\0@b"))
        #expect(requests[1].contains("Content-Type: text/plain"))
        #expect(requests[2].hasPrefix("DELETE / ") && requests[3].hasPrefix("HEAD / "))
    }

    // MARK: Redirects

    @Test("Redirects are followed and told; a form that was sent is not sent again")
    func redirects() async throws {
        let server = try LoopbackServer { request in
            if request.contains(" /a ") { return Self.redirect(302, to: "/b") }
            if request.contains(" /b ") { return Self.redirect(307, to: "c?d=e") }
            return Self.answer("end")
        }
        let outcome = try await run(
            """
            local r = http.post { url = ..., body = "form", headers = { ["X-Key"] = "k", ["Content-Type"] = "text/x" } }
            return r.body, r.url, table.concat(r.redirects, " ")
            """, arguments: [server.url("/a")])
        #expect(
            outcome.values == [
                "end", LuaValue(server.url("/c?d=e")), LuaValue("\(server.url("/a")) \(server.url("/b"))"),
            ], "\(outcome)")
        let requests = server.requests
        #expect(requests.map { $0.prefix { $0 != " " } } == ["POST", "GET", "GET"])
        #expect(requests.allSatisfy { $0.contains("X-Key: k") } && !requests[1].lowercased().contains("content-type"))
    }

    @Test("307 sends the body again")
    func sameAgain() async throws {
        let server = try LoopbackServer { request in
            request.contains(" /a ") ? Self.redirect(307, to: "/b") : Self.answer("end")
        }
        let outcome = try await run("return http.post({ url = ..., body = 'x' }).status", arguments: [server.url("/a")])
        #expect(outcome.values == [200], "\(outcome)")
        #expect(server.requests.map { $0.suffix(1) } == ["x", "x"])
    }

    @Test("Headers meant for one server are not shown to another")
    func otherOrigin() async throws {
        let other = try LoopbackServer { _ in Self.answer("other") }
        let target = other.url("/")
        let server = try LoopbackServer { _ in Self.redirect(302, to: target) }
        let outcome = try await run(
            "return http.get({ url = ..., headers = { Authorization = 's3cret', ['X-Key'] = 's3cret' } }).body",
            arguments: [server.url("/")])
        #expect(outcome.values == ["other"], "\(outcome)")
        #expect(server.requests.first?.contains("s3cret") == true)
        #expect(other.requests.count == 1 && !other.requests[0].contains("s3cret"))
    }

    @Test("A circle of redirects ends; with redirects = 0 the first is the response")
    func circle() async throws {
        let server = try LoopbackServer { _ in Self.redirect(302, to: "/again") }
        let error = try await failure("http.get(...)", arguments: [server.url("/")])
        #expect(error.kind == "redirects" && error.message.contains("127.0.0.1:\(server.port)"), "\(error)")
        #expect(server.requests.count == 6)
        let outcome = try await run(
            "local r = http.get { url = ..., redirects = 0 } return r.status, r.headers.location",
            arguments: [server.url("/")])
        #expect(outcome.values == [302, "/again"], "\(outcome)")
    }

    @Test(
        "A redirect leads nowhere but to web servers",
        arguments: [
            "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:1/x", "http://", "http:///etc/passwd",
        ])
    func otherSchemes(location: String) async throws {
        let server = try LoopbackServer { _ in Self.redirect(302, to: location) }
        let error = try await failure("http.get(...)", arguments: [server.url("/")])
        #expect(["redirects", "protocol"].contains(error.kind.rawValue), "\(error)")
    }

    // MARK: Servers that are slow, huge, broken or absent

    @Test("A server that says nothing, or a little now and then, does not hold the run up", arguments: [false, true])
    func slow(drips: Bool) async throws {
        let server = try LoopbackServer { _ in
            drips
                ? .endless(
                    "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", filling: "x", pauseMicroseconds: 20_000)
                : .silence
        }
        let error = try await failure("http.get { url = ..., timeout = '1s' }", arguments: [server.url("/")])
        #expect(error.kind == .timeout && error.retryable, "\(error)")
    }

    @Test(
        "A response larger than 4 MiB is refused, announced or not",
        arguments: ["Content-Length: 99999999\r\n", "", "Transfer-Encoding: chunked\r\n"])
    func huge(header: String) async throws {
        let block = String(repeating: "x", count: 1 << 16)
        let filling = header.hasPrefix("Transfer") ? "10000\r\n\(block)\r\n" : block
        let server = try LoopbackServer { _ in .endless("HTTP/1.1 200 OK\r\n\(header)\r\n", filling: filling) }
        let error = try await failure("http.get(...)", arguments: [server.url("/")])
        #expect(error.kind == .size, "\(error)")
    }

    @Test("Endless headers are refused")
    func endlessHeaders() async throws {
        let server = try LoopbackServer { _ in
            .endless("HTTP/1.1 200 OK\r\n", filling: String(repeating: "X-More: and more\r\n", count: 100))
        }
        let error = try await failure("http.get(...)", arguments: [server.url("/")])
        #expect(error.kind != .timeout && error.kind != .host, "\(error)")
    }

    @Test("4 MiB arrive whole")
    func large() async throws {
        let server = try LoopbackServer { _ in Self.answer(String(repeating: "x", count: 4 << 20)) }
        let outcome = try await run("return #http.get(...).body", arguments: [server.url("/")])
        #expect(outcome.values == [4_194_304], "\(outcome)")
    }

    @Test(
        "What is no HTTP, or only nearly, ends in an error object or an answer",
        arguments: [
            ("garbage\r\n\r\nbody", "protocol"), ("\u{0}\u{1}\r\n", "protocol"), ("", "unreachable"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "unreachable"),
            ("HTTP/1.1 999999 X\r\n\r\n", "protocol"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nb", "201 b"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", "200 a"),
            ("HTTP/1.1 200 OK\r\n: nothing\r\nbroken line\r\nContent-Length: 1\r\n\r\nb", nil),
            ("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nb", "200 b"),
        ])
    func broken(answer: String, expected: String?) async throws {
        let server = try LoopbackServer { _ in .text(answer) }
        let outcome = try await run(
            """
            local ok, r = pcall(http.get, ...)
            return ok and (r.status .. " " .. r.body) or r.kind
            """, arguments: [server.url("/")])
        #expect(outcome.error == nil)
        if let expected { #expect(outcome.values == [LuaValue(expected)], "\(outcome)") }
    }

    @Test("Nobody there is an error that may pass")
    func absent() async throws {
        var port = 0
        do { port = try LoopbackServer { _ in .silence }.port }
        let error = try await failure("http.get(...)", arguments: ["http://127.0.0.1:\(port)/"])
        #expect(error.kind == "unreachable" && error.retryable, "\(error)")
    }

    @Test("A task that is cancelled gives the request up")
    func cancellation() async throws {
        let server = try LoopbackServer { _ in .silence }
        let outcome = try await run(
            "local url = ... return task.race { function() http.get(url) end, function() return 'first' end }",
            arguments: [server.url("/")])
        #expect(outcome.values == ["first"], "\(outcome)")
    }

    // MARK: What is refused before anything is sent

    @Test(
        "Nothing that a script writes begins another line of the request",
        arguments: [
            "headers = { ['X-A'] = 'b\\r\\nX-Evil: 1' }", "headers = { ['X-A'] = 'b\\nX-Evil: 1' }",
            "headers = { ['X-A'] = 'b\\0c' }", "headers = { ['X-A\\r\\nX-Evil'] = 'b' }", "headers = { ['X A'] = 'b' }",
            "headers = { [''] = 'b' }", "headers = { ['X-A: b\\nX-Evil'] = 'c' }",
            "headers = { ['Content-Length'] = '5' }", "headers = { ['Transfer-Encoding'] = 'chunked' }",
            "path = '/a b'", "path = '/a\\r\\nX-Evil: 1'", "path = '/\"\\nheader = \"X-Evil: 1'", "path = '/\\0'",
            "path = '/\\\\'", "method = 'GET / HTTP/1.1\\r\\nX-Evil: 1\\r\\n'", "method = 'get'", "method = 'CONNECT'",
            "body = {}", "timeout = 0", "redirects = 1000", "cookies = {}",
        ])
    func injection(option: String) async throws {
        let server = try LoopbackServer { _ in Self.answer("") }
        let error = try await failure(
            """
            local options = { \(option) }
            options.url = ... .. (options.path or "/")
            options.path = nil
            options.method = options.method or "POST"
            http.request(options)
            """, arguments: ["http://127.0.0.1:\(server.port)"])
        #expect(error.kind == .argument, "\(error)")
        #expect(server.requests.isEmpty)
    }

    @Test(
        "A URL is http or https, of one host that all readers see alike",
        arguments: [
            "file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1", "//127.0.0.1/", "http://", "http:///x", "",
            "http://a@b@c/", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "-o/tmp/x", "@/etc/passwd",
            "http://[::1/", "http://exa mple/", "http://exämple/",
        ])
    func addresses(url: String) async throws {
        let error = try await failure("http.get(...)", arguments: [url])
        #expect(error.kind == .argument && error.message.contains("'url'"), "\(error)")
    }

    @Test("Neither errors nor the list of processes show what may be secret")
    func secrets() async throws {
        let shown = Mutex<[String]>([])
        let server = try LoopbackServer { _ in
            shown.withLock { $0 = Self.commandLines() }
            return .text("no HTTP")
        }
        let outcome = try await run(
            """
            local base, closed = ...
            local function try(url)
              local _, e = pcall(http.post, {
                url = url, body = "s3cret", headers = { Authorization = "Bearer s3cret" }, timeout = "10s" })
              return tostring(e)
            end
            local _, e = pcall(http.get, { url = base, headers = { ["X-Key"] = "s3cret\\n" } })
            return try(base .. "/s3cret?token=s3cret"), try("http://user:s3cret@127.0.0.1:" .. closed .. "/"), tostring(e)
            """, arguments: ["http://127.0.0.1:\(server.port)", "1"])
        #expect(outcome.values.count == 3 && !"\(outcome.values)".contains("s3cret"), "\(outcome)")
        #expect(server.requests.first?.contains("s3cret") == true)
        let lines = shown.withLock { $0 }
        #expect(
            lines.contains { $0.contains("curl") } && !lines.contains { $0.contains("curl") && $0.contains("s3cret") })
    }

    private static func commandLines() -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).filter { Int($0) != nil }.compactMap {
            (try? String(contentsOfFile: "/proc/\($0)/cmdline", encoding: .utf8))
        }
    }
}
