internal import Foundation

/// Measures the figures of one area and prints them: a table, or JSON with `--json`.
///
/// `--markdown FILE` also writes the table there as the area's section, and leaves the others; `--only TEXT` measures those
/// whose name contains it, `--runs N` that often. `--check` fails when a figure is worse than its bound against regressions,
/// `--goals` when a goal is missed.
package enum FigureReport {
    /// - Parameters:
    ///   - runs: how often each figure is measured where `--runs` does not say.
    ///   - warmsUp: whether each is measured once more, before that.
    ///   - note: a paragraph above the area's table in the Markdown file.
    package static func run(
        _ area: String, _ figures: [Figure], runs: Int = 5, warmsUp: Bool = false, note: String? = nil
    ) async throws {
        let only = value("--only")
        let rows = try await FigureRow.measure(
            figures.filter { only.map($0.name.contains) ?? true }, runs: times(runs), warmsUp: warmsUp)
        try report(rows, area, note)
    }

    /// Measures contests one after the other; says on standard error what is being measured.
    package static func run(
        _ area: String, contests: [FigureContest], runs: Int = 5, note: String? = nil
    ) async throws {
        var rows: [FigureRow] = []
        for contest in contests {
            let measured = await contest.measure(runs: times(runs), only: value("--only"))
            for row in measured {
                let line = row.cells.joined(separator: " | ") + (row.obstacle.map { "  [\($0)]" } ?? "") + "\n"
                FileHandle.standardError.write(Data(line.utf8))
            }
            rows += measured
        }
        try report(rows, area, note)
    }

    private static let arguments = Array(CommandLine.arguments.dropFirst())

    private static func value(_ flag: String) -> String? {
        arguments.firstIndex(of: flag).flatMap { $0 + 1 < arguments.count ? arguments[$0 + 1] : nil }
    }

    private static func times(_ usual: Int) -> Int { max(1, value("--runs").flatMap(Int.init) ?? usual) }

    private static func report(_ rows: [FigureRow], _ area: String, _ note: String?) throws {
        if arguments.contains("--json") {
            print("[\n  " + rows.map(\.json).joined(separator: ",\n  ") + "\n]")
        } else {
            print(table(rows.map(\.cells)))
            for row in rows { if let obstacle = row.obstacle { print("not measured: \(row.name): \(obstacle)") } }
            for row in rows where !row.holds { print(row.complaint) }
        }
        if let path = value("--markdown") { try write(rows, area, note, to: path) }
        if arguments.contains("--check"), rows.contains(where: { !$0.holds }) { exit(1) }
        if arguments.contains("--goals"), rows.contains(where: { $0.isMet == false }) { exit(1) }
    }

    private static func table(_ rows: [[String]]) -> String {
        let all = [FigureRow.header] + rows
        let widths = FigureRow.header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        }
        .joined(separator: "\n")
    }

    /// Puts the area's section in the place of its last one.
    private static func write(_ rows: [FigureRow], _ area: String, _ note: String?, to path: String) throws {
        let title = "# Figures\n\nMedians of runs taken in turn, release build. Made by `scripts/bench`.\n"
        let header = FigureRow.header
        let lines = ([header, header.map { _ in "---" }] + rows.map(\.cells)).map {
            "| " + $0.joined(separator: " | ") + " |"
        }
        let remarks = rows.compactMap(\.remark).map { "- \($0)" }
        let own =
            "## \(area)\n\n" + (note.map { $0 + "\n\n" } ?? "") + lines.joined(separator: "\n") + "\n"
            + (remarks.isEmpty ? "" : "\n" + remarks.joined(separator: "\n") + "\n")
        let parts = ((try? String(contentsOfFile: path, encoding: .utf8)) ?? title).components(separatedBy: "\n## ")
        let others = parts.dropFirst().filter { $0.prefix { $0 != "\n" } != area }
            .map { "## " + $0.trimmingCharacters(in: .newlines) + "\n" }
        let whole = [parts[0].trimmingCharacters(in: .newlines) + "\n"] + (others + [own]).sorted()
        try whole.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
    }
}
