/// What became of one entry of an interactive session.
public enum Evaluation: Sendable {
    /// It ran: the results as they print, one text a result with sorted keys and bounded depth, and as values where
    /// they are data that Swift can hold (`nil` in the place of those that are not, such as cyclic tables).
    case finished(values: [LuaValue], printed: [String])
    /// The text ends too early, as in `for i = 1, 3 do`: more lines may complete it.
    case incomplete
    /// It is not Lua, or failed when run.
    case failed(LuaError)
}
