internal import Foundation

/// Prints LuaHost's figures: a table, or JSON with `--json`; `--markdown FILE` also writes the table there, `--only TEXT`
/// measures those whose name contains it, `--check` fails when a goal is missed.
@main
struct Bench {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let only = arguments.firstIndex(of: "--only").map { arguments[$0 + 1] }
        let rows = try await measure(luaFigures.filter { only.map($0.name.contains) ?? true }, runs: 5)
        if arguments.contains("--json") {
            print("[\n  " + rows.map(\.json).joined(separator: ",\n  ") + "\n]")
        } else {
            print(table(rows.map(\.cells), header: header))
        }
        if let flag = arguments.firstIndex(of: "--markdown"), flag + 1 < arguments.count {
            let lines = ([header, header.map { _ in "---" }] + rows.map(\.cells)).map {
                "| " + $0.joined(separator: " | ") + " |"
            }
            let text =
                "# Figures\n\nMedians of five runs taken in turn, release build. Made by `scripts/bench`.\n\n## lua\n\n"
            try (text + lines.joined(separator: "\n") + "\n").write(
                toFile: arguments[flag + 1], atomically: true, encoding: .utf8)
        }
        if arguments.contains("--check"), rows.contains(where: { $0.isMet == false }) { exit(1) }
    }

    private static let header = ["name", "ours", "peer or limit", "ratio", "goal", ""]

    private static func table(_ rows: [[String]], header: [String]) -> String {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        }
        .joined(separator: "\n")
    }
}
