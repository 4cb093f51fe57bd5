internal import Foundation

/// Measures the figures of one area and prints them: a table, or JSON with `--json`.
///
/// `--markdown FILE` also writes the table there as the area's section, and leaves the others; `--only TEXT` measures those
/// whose name contains it, `--runs N` that often; `--check` fails when a goal is missed.
package enum FigureReport {
    private static let header = ["name", "ours", "peer or limit", "ratio", "goal", ""]

    package static func run(_ area: String, _ figures: [Figure], runs: Int = 5) async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        func value(_ flag: String) -> String? {
            arguments.firstIndex(of: flag).flatMap { $0 + 1 < arguments.count ? arguments[$0 + 1] : nil }
        }
        let only = value("--only")
        let rows = try await measure(
            figures.filter { only.map($0.name.contains) ?? true }, runs: value("--runs").flatMap(Int.init) ?? runs)
        if arguments.contains("--json") {
            print("[\n  " + rows.map(\.json).joined(separator: ",\n  ") + "\n]")
        } else {
            print(table(rows.map(\.cells)))
        }
        if let path = value("--markdown") { try write(rows, area, to: path) }
        if arguments.contains("--check"), rows.contains(where: { $0.isMet == false }) { exit(1) }
    }

    private static func table(_ rows: [[String]]) -> String {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        }
        .joined(separator: "\n")
    }

    /// Puts the area's section in the place of its last one.
    private static func write(_ rows: [Row], _ area: String, to path: String) throws {
        let title = "# Figures\n\nMedians of runs taken in turn, release build. Made by `scripts/bench`.\n"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? title
        let lines = ([header, header.map { _ in "---" }] + rows.map(\.cells)).map {
            "| " + $0.joined(separator: " | ") + " |"
        }
        let section = "## \(area)\n\n" + lines.joined(separator: "\n") + "\n"
        var parts = text.components(separatedBy: "\n## ")
        let others = parts.dropFirst().filter { $0.prefix { $0 != "\n" } != area }
            .map { "## " + $0.trimmingCharacters(in: .newlines) + "\n" }
        parts = [parts[0].trimmingCharacters(in: .newlines) + "\n"] + (others + [section]).sorted()
        try parts.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
    }
}
