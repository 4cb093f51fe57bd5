import Rehearsal

/// A plan as people read it.
enum PlanText {
    static func lines(_ report: ScriptPlan, width: Int) -> String {
        var lines = ["plan of \(report.script), as of \(Text.time(report.at)); nothing was done"]
        lines += losses(report)
        if !report.missing.isEmpty {
            lines += ["", "missing at the sites:"]
            for missing in report.missing {
                lines.append("  \(missing.object): \(missing.what) [\(missing.check)]")
                if let fix = missing.fix { lines.append("    fix: \(fix)") }
            }
        }
        lines += ["", "what it does, in the order in which it is expected to begin (~ simulated, no history yet):"]
        let shown = self.shown(report)
        if shown.isEmpty { lines.append("  nothing: it only reads") }
        for step in shown { lines += self.lines(step) }
        let reads = report.steps.count - shown.count
        if reads > 0 { lines.append("  and \(reads) steps that only read; --json has them all") }
        if !report.questions.isEmpty {
            lines += ["", "it will ask:"]
            for question in report.questions {
                lines.append(
                    "  \(question.role.map { "\($0): " } ?? "")\(question.question)"
                        + (question.choices.isEmpty ? "" : " (\(question.choices.joined(separator: "|")))")
                        + "  planned with: \(question.answer), \(question.because)")
            }
        }
        if !report.assumptions.isEmpty {
            lines += ["", "taken for granted:"] + report.assumptions.map { "  \($0)" }
        }
        lines.append("")
        for violation in report.violations { lines.append("MUST NOT BE: \(violation)") }
        if let failure = report.failure {
            lines.append("it would fail: \(failure.message)" + (failure.rule.map { " [\($0)]" } ?? ""))
            if let hint = failure.hint { lines.append("  hint: \(hint)") }
        } else {
            lines.append("it would end well, in about \(seconds(report.expectedSeconds))")
        }
        return lines.joined(separator: "\n")
    }

    /// Steps that do more than read.
    static func shown(_ report: ScriptPlan) -> [PlanStep] {
        report.steps.filter { $0.changes || $0.assumed != nil || $0.failure?.rule != nil || !$0.effects.isEmpty }
    }

    private static func losses(_ report: ScriptPlan) -> [String] {
        guard !report.losses.isEmpty else { return [] }
        let rows = report.losses.map { loss in
            [
                "  " + loss.vm, loss.seconds.map(seconds) ?? "all: no point yet",
                loss.allowedSeconds.map { "policy: a point every \(seconds($0))" } ?? "",
            ]
        }
        return ["", "lost if the source were lost now:"] + Text.table(rows).split(separator: "\n").map(String.init)
    }

    private static func lines(_ step: PlanStep) -> [String] {
        let depth = max(0, step.task.split(separator: ".").count - 1)
        let indent = String(repeating: "  ", count: depth + 1)
        let mark = step.isProbe ? "?" : " "
        let took = (step.expectation == .simulated ? "~" : "") + seconds(step.expectedSeconds)
        let object = step.object.map { " \($0)" } ?? ""
        let given = step.arguments.count > 80 ? step.arguments.prefix(77) + "..." : step.arguments[...]
        let arguments = given.isEmpty ? "" : " { \(given) }"
        var lines = [
            "\(indent)\(mark) +\(seconds(step.expectedAtSeconds))  \(step.function)\(object)\(arguments)  \(took)"
                + (step.position.map { "  (\($0))" } ?? "")
        ]
        lines += step.effects.map { "\(indent)      \($0)" }
        if let failure = step.failure {
            lines.append("\(indent)      refused: \(failure.message)" + (failure.rule.map { " [\($0)]" } ?? ""))
            if let hint = failure.hint { lines.append("\(indent)      hint: \(hint)") }
        }
        return lines
    }

    static func seconds(_ seconds: Double) -> String {
        switch seconds {
        case ..<10: "\((seconds * 10).rounded() / 10) s"
        case ..<120: "\(Int(seconds.rounded())) s"
        case ..<7200: "\(Int((seconds / 60).rounded())) min"
        default: "\(Int((seconds / 3600).rounded())) h"
        }
    }
}
