internal import Foundation

/// Prints LuaHost's figures: a table, or JSON with `--json`.
///
/// `--markdown FILE` also writes the table there as the area's section, and leaves the others; `--only TEXT` measures those
/// whose name contains it, `--runs N` that often instead of eleven times. `--check` fails when a figure is worse than its bound against regressions, `--goals`
/// when a goal is missed.
@main
struct Bench {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let only = value("--only", arguments)
        let runs = value("--runs", arguments).flatMap(Int.init) ?? 11
        let rows = try await measure(luaFigures.filter { only.map($0.name.contains) ?? true }, runs: max(1, runs))
        if arguments.contains("--json") {
            print("[\n  " + rows.map(\.json).joined(separator: ",\n  ") + "\n]")
        } else {
            print(table(rows.map(\.cells), header: header))
        }
        if let file = value("--markdown", arguments) {
            try write(rows, to: file)
        }
        for row in rows where !row.holds {
            print("worse than its bound: \(row.figure.name), \(row.cells[1]), \(row.cells[3]) against \(row.boundText)")
        }
        if arguments.contains("--check"), rows.contains(where: { !$0.holds }) { exit(1) }
        if arguments.contains("--goals"), rows.contains(where: { $0.isMet == false }) { exit(1) }
    }

    private static func value(_ flag: String, _ arguments: [String]) -> String? {
        arguments.firstIndex(of: flag).flatMap { $0 + 1 < arguments.count ? arguments[$0 + 1] : nil }
    }

    private static let header = ["name", "ours", "peer or limit", "ratio", "goal", "bound", ""]

    private static let section = "lua"

    /// Puts the section in the place of its last one.
    private static func write(_ rows: [Row], to path: String) throws {
        let lines = ([header, header.map { _ in "---" }] + rows.map(\.cells)).map {
            "| " + $0.joined(separator: " | ") + " |"
        }
        let own = """
            ## \(section)

            Medians of eleven runs. `MISS` is a goal missed in that run; the bound is where `--check` fails: a quarter or
            more beyond what is usual, so that noise does not pass it and a change that makes the call or the decoder
            slower does.

            \(lines.joined(separator: "\n"))

            """
        let title = "# Figures\n\nMedians of runs taken in turn, release build. Made by `scripts/bench`.\n"
        let parts = ((try? String(contentsOfFile: path, encoding: .utf8)) ?? title).components(separatedBy: "\n## ")
        let others = parts.dropFirst().filter { $0.prefix { $0 != "\n" } != section }
            .map { "## " + $0.trimmingCharacters(in: .newlines) + "\n" }
        let whole = [parts[0].trimmingCharacters(in: .newlines) + "\n"] + (others + [own]).sorted()
        try whole.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
    }

    private static func table(_ rows: [[String]], header: [String]) -> String {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        }
        .joined(separator: "\n")
    }
}
