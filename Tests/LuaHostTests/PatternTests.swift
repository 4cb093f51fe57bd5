import LuaHost
import Testing

/// The pattern matcher gives what Lua's own gives, and can be stopped.
@Suite struct PatternTests {
    /// Numbers that are the same on every run.
    struct Dice: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
        mutating func pick(_ list: [String]) -> String { list[Int(next() % UInt64(list.count))] }
        mutating func text(_ list: [String], upTo count: UInt64) -> String {
            (0..<next() % (count + 1)).map { _ in pick(list) }.joined()
        }
    }

    static let letters = ["a", "b", "c", "A", "1", " ", "(", ")", "\\n", "\\000", ".", "%", "]", "-", "\\200"]
    static let pieces = [
        "a", "b", ".", "%a", "%d", "%s", "%w", "%p", "%c", "%x", "%l", "%u", "%g", "%A", "%S", "%W", "[ab]", "[^a]",
        "[a-c]", "[%a_]", "[]]", "[^]]", "[%]]", "[a-]", "[-a]", "[%d-z]", "[a-%%]", "(", ")", "()", "%1", "%2", "%0",
        "%b()", "%bab", "%baa", "%f[%w]", "%f[^%w]", "%f[%z]", "^", "$", "%", "[", "]", "%%", "%.", "\\000", "\\200",
        "[a", "[%", "%b", "%f", "(a)", "(.)", "(.-)", "(a*(.)%w(%s*))",
    ]
    static let repeats = ["", "", "", "*", "+", "-", "?"]
    static let replacements = [
        "'x'", "'<%0>'", "'%1'", "'%2%1'", "'%'", "'%%'", "'%x'", "7", "{ a = 'y', b = false }",
        "function(...) return select('#', ...) end", "function(x) return x == 'a' and 'z' end",
        "function() return {} end", "true", "nil",
    ]

    /// A script that does each case in all ways and returns what came of it, a line each.
    static func script(seed: UInt64, count: Int) -> String {
        var dice = Dice(state: seed)
        var cases = ""
        for _ in 0..<count {
            let subject = dice.text(letters, upTo: 12)
            var pattern = dice.next() % 6 == 0 ? "^" : ""
            for _ in 0...dice.next() % 6 { pattern += dice.pick(pieces) + dice.pick(repeats) }
            let start = Int(dice.next() % 20) - 8
            let most = dice.next() % 3 == 0 ? "\(Int(dice.next() % 5) - 1)" : "nil"
            cases += "try(\"\(subject)\", \"\(pattern)\", \(start), \(dice.pick(replacements)), \(most))\n"
        }
        return script(cases: cases)
    }

    /// A script that runs calls of `try(subject, pattern, start, replacement, most)`.
    static func script(cases: String) -> String {
        """
        local out = {}
        local function show(ok, ...)
            local line = { tostring(ok) }
            for i = 1, select("#", ...) do
                local v = select(i, ...)
                line[#line + 1] = type(v) == "table" and "table" or math.type(v) or type(v)
                line[#line + 1] = type(v) == "table" and "" or tostring(v)
            end
            out[#out + 1] = table.concat(line, "|")
        end
        local function all(s, p, init)
            local got = {}
            for a, b in s:gmatch(p, init) do
                got[#got + 1] = tostring(a) .. ":" .. tostring(b)
                if #got > 50 then break end
            end
            return table.concat(got, ";")
        end
        local function try(s, p, init, replacement, most)
            out[#out + 1] = ("%q %q %d"):format(s, p, init)
            show(pcall(string.find, s, p))
            show(pcall(string.find, s, p, init))
            show(pcall(string.find, s, p, init, true))
            show(pcall(string.match, s, p, init))
            show(pcall(all, s, p))
            show(pcall(all, s, p, init))
            show(pcall(string.gsub, s, p, replacement, most))
        end
        \(cases)
        return (table.concat(out, "\\n"):gsub("[%w.]+:%d+: ", ""))
        """
    }

    @Test(arguments: 1...24)
    func randomPatternsGiveWhatLuasOwnGive(_ seed: UInt64) async throws {
        let script = Self.script(seed: seed, count: 500)
        let theirs = try #require(LuaProbe.stock(script))
        let result = try await Fixture().run(script).first
        guard case .string(let ours) = result else {
            Issue.record("no text: \(String(describing: result))")
            return
        }
        let a = ours.bytes.split(separator: 10, omittingEmptySubsequences: false)
        let b = theirs.split(separator: 10, omittingEmptySubsequences: false)
        #expect(a.count > 4000 && a.count == b.count)
        for (index, (mine, stock)) in zip(a, b).enumerated() where mine != stock {
            let from = max(0, index - 8)
            let lines = a[from...index].map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n")
            Issue.record("Lua's own gives \(String(decoding: stock, as: UTF8.self)) at the last of\n\(lines)")
            return
        }
    }

    static let meanings: [(String, [LuaValue])] = [
        ("return ('alo'):find(''), ('alo'):find('', 4), ('alo'):find('', 10)", [1, 4, nil]),
        ("return ('a\\0b\\0c'):find('\\0c'), ('a\\0b'):find('%z'), #('a\\0b'):match('.+')", [4, 2, 3]),
        (
            "return ('aaab'):match('a*'), ('aaab'):match('a-b'), ('aaab'):match('^a-'), ('aab'):match('a?a?a?b')",
            ["aaa", "aaab", "", "aab"]
        ),
        ("return ('2024-01-31'):match('^(%d+)-(%d+)-(%d+)$')", ["2024", "01", "31"]),
        ("return ('key = value'):match('^(%w+)%s*=%s*(%w+)$')", ["key", "value"]),
        ("return ('hello'):match('()ll()')", [3, 5]),
        ("return ('f(a(b)c)d'):match('%b()'), ('((x)'):match('%b()'), ('xx'):find('%bxx')", ["(a(b)c)", "(x)", 1, 2]),
        ("return ('THE (quick) fox'):find('%f[%a]%a+%f[%A]', 5), ('x'):find('%f[%z]')", [6, 2, 1]),
        (
            "return ('abab'):match('(ab)%1'), ('abac'):match('(ab)%1'), ('\"it\\'s\"'):match('([\"\\'])(.-)%1')",
            ["ab", nil, "\"", "it's"]
        ),
        ("return ('a.b'):find('.', 1, true), ('a.b'):find('%.'), ('a+b'):find('+', 2, true)", [2, 2, 2, 2]),
        ("return ('abc'):gsub('%w', '%0%0'), ('abc'):gsub('', '-')", ["aabbcc", "-a-b-c-", 4]),
        ("return ('hello world'):gsub('o', '0', 1)", ["hell0 world", 1]),
        ("return ('$name is $age'):gsub('%$(%w+)', { name = 'x', age = 7 })", ["x is 7", 2]),
        ("return ('abc'):gsub('%w', function(c) if c == 'b' then return nil end return c:upper() end)", ["AbC", 3]),
        ("return ('abc'):gsub('(b)()', '%2%1')", ["a3bc", 1]),
        ("return ('aaa'):gsub('^a', 'b'), ('x^y'):gsub('x^', '-')", ["baa", "-y", 1]),
        ("local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[k] = v end return t.a, t.b", ["1", "2"]),
        ("local n = 0 for p in ('abc'):gmatch('()') do n = n + p end return n", [10]),
        ("local t = {} for w in ('xuxx uu ppar r'):gmatch('()(.)%2') do t[#t + 1] = w end return t", [[3, 6, 9]]),
        ("return ('0123456789'):gmatch('%d', 8)(), ('^x'):gmatch('^x')()", ["7", "^x"]),
        ("return ('x'):rep(300000):find('^x*.?$'), (('x'):rep(300000) .. 'y'):find('.-y')", [1, 1, 300_001]),
        ("return (('.'):rep(80)):match(('.?'):rep(80)) == ('.'):rep(80)", [true]),
        (
            "return ('[]]'):match('[]]'), ('a-z'):match('[a-]+'), ('^'):match('[%^x]'), ('b'):match('[^a]')",
            ["]", "a-", "^", "b"]
        ),
        ("return ('\\xe4'):find('%a'), ('\\xe4'):find('[\\x80-\\xff]')", [nil, 1, 1]),
        ("return select(2, pcall(string.find, ('a'):rep(40), ('(.)'):rep(33)))", ["too many captures"]),
    ]

    @Test(arguments: meanings)
    func patternsMeanWhatTheManualSays(_ source: String, _ expected: [LuaValue]) async throws {
        let results = try await Fixture().run(source)
        let stock = LuaProbe.stock(
            "local t = table.pack((function() \(source) end)()) for i = 1, t.n do "
                + "t[i] = type(t[i]) == 'table' and table.concat(t[i], ' ') or tostring(t[i]) end return table.concat(t, ';')"
        )
        let shown = results.map { value in
            switch value {
            case .table(let table): table.array.map { "\($0.integer ?? 0)" }.joined(separator: " ")
            case .string(let text): text.description
            case .integer(let number): "\(number)"
            case .boolean(let flag): "\(flag)"
            default: "nil"
            }
        }.joined(separator: ";")
        #expect(results == expected)
        #expect(stock.map { String(decoding: $0, as: UTF8.self) } == shown)
    }

    @Test func aPatternWithTooManyChoicesIsTooComplex() async throws {
        let source = "return pcall(string.match, ('a'):rep(2000), ('.?'):rep(2000))"
        let results = try await Fixture().run(source)
        #expect(results.first == false && results.last?.text == "pattern too complex")
    }

    /// The same pattern and subject use the same fuel on every run, and work is charged in proportion.
    @Test func matchingIsChargedAlike() async throws {
        func fuel(_ source: String) async throws -> UInt64 {
            let fixture = try Fixture()
            _ = try await fixture.run(source)
            return await fixture.state.usage.fuel
        }
        let short = try await fuel("local s = ('a'):rep(3000) return s:find('.-b')")
        #expect(try await fuel("local s = ('a'):rep(3000) return s:find('.-b')") == short)
        #expect(short > 1_000_000)
        #expect(try await fuel("local s = ('a'):rep(1000000) return s:find('a*')") < 500_000)
    }
}
