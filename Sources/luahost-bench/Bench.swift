import BenchFigures

/// Prints LuaHost's figures; its options are those of `FigureReport`.
@main
struct Bench {
    static func main() async throws {
        try await FigureReport.run(
            "lua", luaFigures, runs: 11, warmsUp: true,
            note: """
                Medians of eleven runs. `MISS` is a goal missed in that run; the bound is where `--check` fails: a quarter or
                more beyond what is usual, so that noise does not pass it and a change that makes the call or the decoder
                slower does.
                """)
    }
}
