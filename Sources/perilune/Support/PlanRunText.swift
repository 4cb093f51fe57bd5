import RecoveryEngine
import SiteModel

/// What a run of a plan came to, for people.
enum PlanRunText {
    static func text(of report: PlanReport) -> String {
        let run = report.run
        var lines = [
            "\(run.operation.rawValue) of plan \(report.plan.name), \(run.direction.rawValue), "
                + "begun \(Text.time(run.startedAt)): \(run.state.rawValue)" + (run.phase.map { ", at \($0)" } ?? "")
        ]
        if let failure = run.failure { lines.append("failed: \(failure.message)") }
        lines.append(
            Text.table(
                [["VM", "GROUP", "OUTCOME", "STATE", "OWNER", "POINT", "LOST", "TOOK"]]
                    + report.rows.map { row in
                        [
                            row.vm, row.group, row.step?.state.rawValue ?? "-", row.state?.rawValue ?? "-",
                            row.owner ?? "-", row.point.map { "\($0)" } ?? "-",
                            row.step?.lossSeconds.map { seconds($0) } ?? "-", row.seconds.map { seconds($0) } ?? "-",
                        ]
                    }))
        for row in report.rows {
            if let detail = row.step?.detail { lines.append("\(row.vm): \(detail)") }
        }
        for action in report.actions {
            let name = action.name.drop { $0 != ":" }.dropFirst()
            lines.append("action \(name): \(action.state.rawValue)" + (action.detail.map { ", \($0)" } ?? ""))
            if let observation = action.observation, !observation.isEmpty { lines.append("  seen: \(observation)") }
            if action.state == .failed, let output = action.output, !output.isEmpty {
                lines += output.split(separator: "\n").suffix(20).map { "  | \($0)" }
            }
        }
        if let waiting = report.actions.first(where: { $0.state == .waiting }) {
            lines.append(
                "it waits for a person: \(waiting.detail ?? "")\n"
                    + "  confirm with: \(ElsewherePrompt.answer(to: report.plan.name))")
        }
        return lines.joined(separator: "\n")
    }

    private static func seconds(_ seconds: Double) -> String {
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
