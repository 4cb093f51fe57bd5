import Foundation
import RecoveryEngine

/// Findings as people read them: a table for each object, then what it comes to, so that trouble is the last thing seen.
enum CheckTable {
    /// `problems` leaves out what is ok or was skipped.
    static func text(_ report: InspectionReport, problems: Bool, width: Int) -> String {
        var parts: [String] = []
        for group in InspectionReport.grouped(report.findings) {
            let shown = group.findings.filter { !problems || $0.verdict == .warn || $0.verdict == .fail }
            guard !shown.isEmpty else { continue }
            parts.append(([title(group.kind, group.object)] + rows(shown, width: width)).joined(separator: "\n"))
        }
        return (parts + [summary(report, width: width)]).joined(separator: "\n\n")
    }

    private static func title(_ kind: CheckedKind, _ object: String) -> String {
        switch kind {
        case .vault: "vault"
        case .endpoint: "endpoints from \(object)"
        default: "\(kind.rawValue) \(object)"
        }
    }

    private static func rows(_ findings: [CheckFinding], width: Int) -> [String] {
        let looked = findings.filter { $0.verdict != .skipped }
        let names = looked.map(\.check.count).max() ?? 0
        var lines: [String] = []
        for finding in looked {
            let edge =
                "  \(mark(finding.verdict))  "
                + finding.check.padding(toLength: names, withPad: " ", startingAt: 0) + "  "
            let words = (finding.about.map { "\($0): " } ?? "") + finding.cause
            lines += hanging(edge, words, width: width)
            if let fix = finding.fix {
                lines += hanging(String(repeating: " ", count: edge.count), "fix: \(fix)", width: width)
            }
        }
        return lines + skipped(findings, width: width)
    }

    /// Checks that were skipped for one reason share a line.
    private static func skipped(_ findings: [CheckFinding], width: Int) -> [String] {
        var reasons: [String] = []
        var checks: [String: [String]] = [:]
        for finding in findings where finding.verdict == .skipped {
            if checks[finding.cause] == nil { reasons.append(finding.cause) }
            let name = finding.about.map { "\(finding.check) (\($0))" } ?? finding.check
            checks[finding.cause, default: []].append(name)
        }
        return reasons.flatMap { reason in
            hanging(
                "  \(mark(.skipped))  ", "\(reason): \((checks[reason] ?? []).joined(separator: ", "))", width: width)
        }
    }

    private static func hanging(_ edge: String, _ words: String, width: Int) -> [String] {
        let indent = String(repeating: " ", count: edge.count)
        return Text.wrap(words, width: max(30, width - edge.count)).enumerated().map { index, line in
            (index == 0 ? edge : indent) + line
        }
    }

    private static func mark(_ verdict: CheckVerdict) -> String {
        switch verdict {
        case .ok: "ok  "
        case .warn: "warn"
        case .fail: "FAIL"
        case .skipped: "skip"
        }
    }

    private static func summary(_ report: InspectionReport, width: Int) -> String {
        let counts =
            "\(report.count(.fail)) failing, \(report.count(.warn)) warning, \(report.count(.ok)) ok, "
            + "\(report.count(.skipped)) skipped"
        guard !report.ready else { return "ready: \(counts)" }
        let failing = report.findings.filter { $0.verdict == .fail }
        var names: [String] = []
        for group in InspectionReport.grouped(failing) {
            var checks: [String] = []
            for finding in group.findings where !checks.contains(finding.check) { checks.append(finding.check) }
            names += Text.wrap("  \(title(group.kind, group.object)): \(checks.joined(separator: ", "))", width: width)
        }
        return (["NOT READY: \(counts)"] + names).joined(separator: "\n")
    }
}
