import Foundation
import Rehearsal

/// What exploring a script has shown, as people and machines read it.
enum VerifyText {
    static func lines(_ report: VerifyReport, repeating command: String) -> String {
        var lines: [String] = []
        for finding in report.violations + report.findings.filter({ !$0.isViolation }) {
            lines.append(
                "\(finding.isViolation ? "VIOLATION" : "note     ")  \(finding.kind.rawValue): \(finding.sentence)")
            for disturbance in finding.sequence { lines.append("    \(disturbance.words)") }
            lines += finding.details.prefix(6).map { "    \($0)" }
            if !finding.sequence.isEmpty {
                let sequence = finding.sequence.map(\.description).joined(separator: ",")
                lines.append("    again: \(command) --replay \(sequence)")
            }
        }
        if !lines.isEmpty { lines.append("") }
        lines.append(coverage(report))
        return lines.joined(separator: "\n")
    }

    private static func coverage(_ report: VerifyReport) -> String {
        let undisturbed = report.undisturbed
        var lines = [
            "\(report.executions) executions in \(Text.duration(report.seconds)); undisturbed: \(undisturbed.steps) steps, "
                + "\(undisturbed.calls) calls"
        ]
        let kinds = report.planned.keys.sorted()
        if !kinds.isEmpty {
            let rows = kinds.map { kind in
                let (tried, all) = (report.tried[kind] ?? 0, report.planned[kind] ?? 0)
                return ["  \(kind)", "\(tried) of \(all)", tried < all ? "\(all - tried) cut by the budget" : ""]
            }
            lines.append(Text.table(rows))
        }
        lines += report.endings.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "  \($0.value) \($0.key)" }
        lines.append(
            report.violations.isEmpty ? "no violation" : "\(report.violations.count) violations")
        return lines.joined(separator: "\n")
    }

    /// JUnit's XML: one test case a finding that is a violation, and one for the script where there is none.
    static func junit(_ report: VerifyReport) -> String {
        let failures = report.violations
        var lines = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<testsuite name=\"\(escaped(report.script))\" tests=\"\(max(1, failures.count))\" "
                + "failures=\"\(failures.count)\" time=\"\(String(format: "%.3f", report.seconds))\">",
        ]
        if failures.isEmpty { lines.append("  <testcase name=\"\(report.executions) executions\"/>") }
        for finding in failures {
            let sequence = finding.sequence.map(\.description).joined(separator: ",")
            lines.append("  <testcase name=\"\(escaped(finding.kind.rawValue)) \(escaped(sequence))\">")
            lines.append("    <failure message=\"\(escaped(finding.sentence))\">")
            lines += (finding.sequence.map(\.words) + finding.details).map { escaped($0) }
            lines.append("    </failure>\n  </testcase>")
        }
        lines.append("</testsuite>\n")
        return lines.joined(separator: "\n")
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
            .filter { !$0.unicodeScalars.contains { $0.value < 32 && $0 != "\n" && $0 != "\t" } }
    }

    struct Report: Encodable {
        struct Finding: Encodable {
            var kind: String
            var violation: Bool
            var sentence: String
            var sequence: [String]
            var details: [String]
        }

        var script: String
        var executions: Int
        var seconds: Double
        var steps: Int
        var calls: Int
        var planned: [String: Int]
        var tried: [String: Int]
        var endings: [String: Int]
        var findings: [Finding]

        init(_ report: VerifyReport) {
            script = report.script
            executions = report.executions
            seconds = report.seconds
            steps = report.undisturbed.steps
            calls = report.undisturbed.calls
            planned = report.planned
            tried = report.tried
            endings = report.endings
            findings = report.findings.map {
                Finding(
                    kind: $0.kind.rawValue, violation: $0.isViolation, sentence: $0.sentence,
                    sequence: $0.sequence.map(\.description), details: $0.details)
            }
        }
    }
}
