import LuaHost
import Testing

@Suite struct ReachableTests {
    /// Which of Lua's own functions a script can reach in any way.
    ///
    /// By name, through metatables, and as upvalues of the functions that stand before them. `debug` would be needed for the last, so this is more than scripts really get.
    static let allowed = """
        assert coroutine.status error getmetatable ipairs math.abs math.acos math.asin math.atan math.atan2
        math.ceil math.cos math.deg math.exp math.floor math.fmod math.log math.max math.min math.modf math.rad
        math.random math.randomseed math.sin math.sqrt math.tan math.tointeger math.type math.ult rawequal
        select string.byte string.char string.format string.len string.lower string.pack string.packsize string.rep
        string.reverse string.sub string.unpack string.upper table.pack tonumber type utf8.char utf8.codepoint utf8.codes utf8.len utf8.offset
        """

    @Test func nothingOfLuasOwnIsReachableThatIsNotOnTheList() async throws {
        let reachable = try await hosted().state.reachableFunctions()
        let allowed = Set(Self.allowed.split { $0.isWhitespace }.map(String.init))
        #expect(reachable.subtracting(allowed).sorted() == [])
        #expect(allowed.subtracting(reachable).sorted() == [])
        #expect(!reachable.contains { $0.hasPrefix("io.") || $0.hasPrefix("debug.") || $0.hasPrefix("package.") })
    }
}
