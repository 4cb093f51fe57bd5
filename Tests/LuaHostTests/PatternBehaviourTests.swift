import LuaHost
import Testing

/// What patterns do, one behaviour a line: Lua's own gives the same.
@Suite struct PatternBehaviourTests {
    /// An expression, and its results: texts in brackets, or the error without its position.
    static let behaviours: [(expression: String, result: String)] = [
        // Where a search begins and ends
        (#"('banana'):find('na')"#, #"3, 4"#),
        (#"('banana'):find('na', 4)"#, #"5, 6"#),
        (#"('banana'):find('na', -2)"#, #"5, 6"#),
        (#"('banana'):find('na', -100)"#, #"3, 4"#),
        (#"('banana'):find('', 7)"#, #"7, 6"#),
        (#"('banana'):find('', 8)"#, #"nil"#),
        (#"('banana'):find('^an')"#, #"nil"#),
        (#"('banana'):find('^an', 2)"#, #"2, 3"#),
        (#"('banana'):find('a$')"#, #"6, 6"#),
        (#"('banana'):find('^banana$')"#, #"1, 6"#),
        (#"('a$b^c'):find('$b')"#, #"2, 3"#),
        (#"('a$b^c'):find('b^c')"#, #"3, 5"#),
        (#"(''):find('^$')"#, #"1, 0"#),
        (#"(''):match('.-')"#, #"[]"#),
        (#"('1.5'):find('.', 1, true)"#, #"2, 2"#),
        (#"('1.5'):find('', 2, true)"#, #"2, 1"#),
        (#"string.find(1515, 51)"#, #"2, 3"#),
        // Classes and sets
        (#"('x_1 Y'):match('[%a_][%w_]*')"#, #"[x_1]"#),
        (#"('\t\n x'):match('^%s*()')"#, #"4"#),
        (#"('%d{2}'):match('%%d')"#, #"[%d]"#),
        (#"('0xFF'):match('%x+', 3)"#, #"[FF]"#),
        (#"('tab\tbell\a'):gsub('%c', '?')"#, #"[tab?bell?], 2"#),
        (#"('~ !'):gsub('%g', 'g')"#, #"[g g], 2"#),
        (#"('aBc'):gsub('%u', '<%0>')"#, #"[a<B>c], 1"#),
        (#"('aBc'):gsub('%U', '.')"#, #"[.B.], 2"#),
        (#"('a]b'):match('[]]')"#, #"[]]"#),
        (#"('a]b'):match('[^]]+')"#, #"[a]"#),
        (#"('a-b+c'):gsub('[a-]', '#')"#, #"[##b+c], 2"#),
        (#"('a-b+c'):gsub('[+--]', '#')"#, #"[a#b#c], 2"#),
        (#"('^^x'):match('[%^]+')"#, #"[^^]"#),
        (#"('^^x'):match('[x^]+')"#, #"[^^x]"#),
        (#"('b4'):match('[%d%a]+')"#, #"[b4]"#),
        (#"('m'):find('[a-f%u]')"#, #"nil"#),
        (#"('\0a\0'):find('%z', 2)"#, #"3, 3"#),
        (#"('\0a\0'):gsub('[%z]', '0')"#, #"[0a0], 2"#),
        (#"('\200\201'):find('[\200-\210]+')"#, #"1, 2"#),
        // Repeats
        (#"('aaa'):match('a*')"#, #"[aaa]"#),
        (#"('aaa'):match('a+')"#, #"[aaa]"#),
        (#"('aaa'):match('a-')"#, #"[]"#),
        (#"('aaa'):match('a?')"#, #"[a]"#),
        (#"('aaab'):match('a-b')"#, #"[aaab]"#),
        (#"('aaab'):match('a*ab')"#, #"[aaab]"#),
        (#"('b'):match('a*')"#, #"[]"#),
        (#"('<a><b>'):match('<.->')"#, #"[<a>]"#),
        (#"('<a><b>'):match('<.*>')"#, #"[<a><b>]"#),
        (#"('a*b'):match('a%*b')"#, #"[a*b]"#),
        (#"('*'):match('*')"#, #"[*]"#),
        (#"('a**'):match('a**')"#, #"[a*]"#),
        // Captures
        (#"('k=v'):match('(%w)=(%w)')"#, #"[k], [v]"#),
        (#"('abc'):match('((a)(b))c')"#, #"[ab], [a], [b]"#),
        (#"('abc'):match('()b()')"#, #"2, 3"#),
        (#"('abc'):match('(()b)')"#, #"[b], 2"#),
        (#"('abcabc'):match('(abc)%1')"#, #"[abc]"#),
        (#"('aXbXa'):match('(.)X(.)X%1')"#, #"[a], [b]"#),
        (#"('"a" and \'b\''):gsub('(["\'])(.-)%1', '%2')"#, #"[a and b], 2"#),
        (#"('abc'):find('(b)(c)')"#, #"2, 3, [b], [c]"#),
        (#"('abc'):find('b', 1, true)"#, #"2, 2"#),
        (#"('x'):match('(x?)(x?)')"#, #"[x], []"#),
        // Balanced pairs and frontiers
        (#"('f(a(b)c)(d)'):match('%b()')"#, #"[(a(b)c)]"#),
        (#"('f(a(b)c)(d)'):gsub('%b()', '')"#, #"[f], 2"#),
        (#"('((a)'):find('%b()')"#, #"2, 4"#),
        (#"('(('):find('%b()')"#, #"nil"#),
        (#"('aXbX'):match('%bXX')"#, #"[XbX]"#),
        (#"('one two'):gsub('%f[%w]%w', '^')"#, #"[^ne ^wo], 2"#),
        (#"('one two'):gsub('%f[%W]', '.')"#, #"[one. two.], 2"#),
        (#"('x'):find('%f[%z]')"#, #"2, 1"#),
        (#"('THE (quick) fox'):gsub('%f[%a]%a+', string.lower)"#, #"[the (quick) fox], 3"#),
        (#"(''):find('%f[a]')"#, #"nil"#),
        // Replacements
        (#"('abc'):gsub('b', '%%')"#, #"[a%c], 1"#),
        (#"('abc'):gsub('(b)', '[%1%0]')"#, #"[a[bb]c], 1"#),
        (#"('abc'):gsub('', '-')"#, #"[-a-b-c-], 4"#),
        (#"('abc'):gsub('x*', '-')"#, #"[-a-b-c-], 4"#),
        (#"('abc'):gsub('b*', '-')"#, #"[-a-c-], 3"#),
        (#"('aaa'):gsub('a', 'b', 2)"#, #"[bba], 2"#),
        (#"('aaa'):gsub('a', 'b', 0)"#, #"[aaa], 0"#),
        (#"('aaa'):gsub('a', 'b', -1)"#, #"[aaa], 0"#),
        (#"('aaa'):gsub('^a', 'b')"#, #"[baa], 1"#),
        (#"('abc'):gsub('%w', { a = 1, b = true and 'B' })"#, #"[1Bc], 3"#),
        (#"('abc'):gsub('%w', { b = false })"#, #"[abc], 3"#),
        (#"('abc'):gsub('(a)(b)', { a = 'key is the first capture' })"#, #"[key is the first capturec], 1"#),
        (#"('abc'):gsub('()', { [2] = '|' })"#, #"[a|bc], 4"#),
        (#"('abc'):gsub('%w', function(c) return c == 'b' and c:byte() end)"#, #"[a98c], 3"#),
        (#"('ab'):gsub('(a)(b)', function(...) return select('#', ...) end)"#, #"[2], 1"#),
        (#"('ab'):gsub('.', setmetatable({}, { __index = function(_, k) return k:upper() end }))"#, #"[AB], 2"#),
        (#"('a.b'):gsub('%.', 7)"#, #"[a7b], 1"#),
        // Iteration
        (#"all('a1b22c', '%d+')"#, #"[1;22]"#),
        (#"all('a=1, b=2', '(%w)=(%w)')"#, #"[a=1;b=2]"#),
        (#"all('abc', '')"#, #"[;;;]"#),
        (#"all('abc', '()')"#, #"[1;2;3;4]"#),
        (#"all('aXbXc', 'X?')"#, #"[;X;X;]"#),
        (#"all('^a^a', '^a')"#, #"[^a;^a]"#),
        (#"all('abcd', '..', 2)"#, #"[bc]"#),
        (#"all('abcd', '..', -1)"#, #"[]"#),
        (#"all('abcd', '.', 9)"#, #"[]"#),
        // What is no pattern
        (#"('a'):find('[a')"#, #"malformed pattern (missing ']')"#),
        (#"('a'):find('[]')"#, #"malformed pattern (missing ']')"#),
        (#"('a'):find('[^]')"#, #"malformed pattern (missing ']')"#),
        (#"('a'):find('%')"#, #"malformed pattern (ends with '%')"#),
        (#"('a'):find('[a%')"#, #"malformed pattern (missing ']')"#),
        (#"('a'):find('(a')"#, #"unfinished capture"#),
        (#"('a'):find('a)')"#, #"nil"#),
        (#"('a'):find('%1')"#, #"invalid capture index %1"#),
        (#"('a'):find('(a%1)')"#, #"invalid capture index %1"#),
        (#"('a'):find('(a)%2')"#, #"invalid capture index %2"#),
        (#"('a'):find('%b')"#, #"malformed pattern (missing arguments to '%b')"#),
        (#"('a'):find('%bx')"#, #"malformed pattern (missing arguments to '%b')"#),
        (#"('a'):find('%f')"#, #"missing '[' after '%f' in pattern"#),
        (#"('a'):find('%fa')"#, #"missing '[' after '%f' in pattern"#),
        (#"('a'):rep(33):find(('(a)'):rep(33))"#, #"too many captures"#),
        (#"('a'):gsub('a', '%2')"#, #"invalid capture index %2"#),
        (#"('a'):gsub('a', '%x')"#, #"invalid use of '%' in replacement string"#),
        (#"('a'):gsub('a', '%')"#, #"invalid use of '%' in replacement string"#),
        (#"('a'):gsub('a', {}, 'x')"#, #"bad argument #3 to 'gsub' (number expected, got string)"#),
        (#"('a'):gsub('a', function() return {} end)"#, #"invalid replacement value (a table)"#),
        (#"('a'):gsub('a', true)"#, #"bad argument #2 to 'gsub' (string/function/table expected, got boolean)"#),
        (#"('a'):gsub('a')"#, #"bad argument #2 to 'gsub' (string/function/table expected, got no value)"#),
        (#"('a'):find()"#, #"bad argument #1 to 'find' (string expected, got no value)"#),
        (#"('a'):find('a', 'x')"#, #"bad argument #2 to 'find' (number expected, got string)"#),
        (#"('a'):match({})"#, #"bad argument #1 to 'match' (string expected, got table)"#),
        (#"string.find()"#, #"bad argument #1 to 'find' (string expected, got no value)"#),
        (#"string.gmatch('a')"#, #"bad argument #2 to 'gmatch' (string expected, got no value)"#),
    ]

    private static func script(_ expression: String) -> String {
        """
        local function show(...)
            local t = table.pack(...)
            for i = 1, t.n do t[i] = type(t[i]) == "string" and "[" .. t[i] .. "]" or tostring(t[i]) end
            return table.concat(t, ", ")
        end
        local function all(...)
            local t = {}
            for a, b in string.gmatch(...) do t[#t + 1] = tostring(a) .. (b and "=" .. b or "") end
            return table.concat(t, ";")
        end
        local _, text = pcall(function() return show(\(expression)) end)
        return (text:gsub("^[%w.]+:%d+: ", ""))
        """
    }

    @Test func eachIsAsExpectedAndAsInLuasOwn() async throws {
        let fixture = try Fixture()
        for (expression, result) in Self.behaviours {
            let script = Self.script(expression)
            #expect(try await fixture.run(script).first?.text == result, "\(expression)")
            let stock = LuaProbe.stock(script).map { String(decoding: $0, as: UTF8.self) }
            #expect(stock == result, "\(expression), in Lua's own")
        }
        #expect(Self.behaviours.count > 100)
    }
}
