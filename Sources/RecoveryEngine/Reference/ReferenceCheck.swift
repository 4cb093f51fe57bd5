/// One row of the original's prerequisites, and what stands for it here.
package struct ReferenceCheck: Sendable {
    /// Where it stands in the collected facts: "1" to "26" of section 3, "URLs" and "B-BPA" below its table.
    package let row: String
    package let what: String
    /// Ids of checks that make it.
    package let checks: [String]
    /// Whether it has a meaning on Windows, or in the original's service, alone.
    package let isForeign: Bool
    package let here: String

    init(_ row: String, _ what: String, checks: [String] = [], foreign: Bool = false, here: String) {
        self.row = row
        self.what = what
        self.checks = checks
        self.isForeign = foreign
        self.here = here
    }
}

/// All rows, and the part of docs/from-site-recovery.md that is made of them.
package enum ReferenceChecks {
    package static let all: [ReferenceCheck] = prerequisites + practices

    /// The generated part of the page, its border lines included.
    package static func markdown() -> String {
        func table(_ foreign: Bool) -> String {
            all.filter { $0.isForeign == foreign }.map { row in
                let checks = row.checks.map { "`\($0)`" }.joined(separator: ", ")
                return "| \(row.row) | \(row.what) | \(checks.isEmpty ? "-" : checks) | \(row.here) |"
            }.joined(separator: "\n")
        }
        return """
            \(ReferencePage.begin("checks"))

            Checks are those of [checks.md](checks.md); `perilune doctor` makes them all. Rows are those of the original's
            prerequisites, `B-BPA` its best practices for the hosts' own replication.

            | row | the original asks for | checks | here |
            | --- | --- | --- | --- |
            \(table(false))

            ### What only Windows has, or nothing here checks

            | row | the original asks for | checks | what stands for it |
            | --- | --- | --- | --- |
            \(table(true))

            \(ReferencePage.end("checks"))
            """
    }
}
