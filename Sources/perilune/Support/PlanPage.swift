import Rehearsal

/// A plan as one page for a browser: nothing in it is fetched from elsewhere, and nothing runs.
enum PlanPage {
    static func html(_ plan: ScriptPlan) -> String {
        let steps = PlanText.shown(plan)
        let verdict =
            plan.failure.map { "It would fail: \($0.message)" }
            ?? (plan.violations.isEmpty
                ? "It would end well, in about \(PlanText.seconds(plan.expectedSeconds))." : "It must not be run.")
        var page = """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>Plan of \(escaped(plan.script))</title><style>\(style)</style></head><body>
            <h1>Plan of \(escaped(plan.script))</h1>
            <p>As of \(Text.time(plan.at)) UTC. Nothing was done.</p>
            <p class="\(plan.succeeded ? "good" : "bad")"><strong>\(escaped(verdict))</strong>
            \(escaped(plan.failure?.hint ?? ""))</p>

            """
        page += list("What must not be", plan.violations)
        page += table(
            "Lost if the source were lost now", ["VM", "lost", "policy"],
            plan.losses.map { loss in
                [
                    loss.vm, loss.seconds.map(PlanText.seconds) ?? "all: no point yet",
                    loss.allowedSeconds.map { "a point every \(PlanText.seconds($0))" } ?? "",
                ]
            })
        page += table(
            "Missing at the sites", ["of", "what", "fix"],
            plan.missing.map { [$0.object, "\($0.what) (\($0.check))", $0.fix ?? ""] })
        page += timeLine(steps, until: plan.expectedSeconds)
        page += table(
            "Steps", ["begins", "takes", "call", "changes", "where"],
            steps.map { step in
                let failure = step.failure.map { ["refused: \($0.message)", $0.hint ?? ""] } ?? []
                return [
                    "+" + PlanText.seconds(step.expectedAtSeconds),
                    PlanText.seconds(step.expectedSeconds) + " (\(step.expectation.rawValue))",
                    "\(step.isProbe ? "? " : "")\(step.function) \(step.object ?? "") \(step.arguments)",
                    (step.effects + failure).joined(separator: "\n"), step.position ?? "",
                ]
            })
        page += table(
            "Questions", ["asked", "of", "choices", "planned with"],
            plan.questions.map {
                [$0.question, $0.role ?? "anybody", $0.choices.joined(separator: ", "), "\($0.answer) (\($0.because))"]
            })
        page += list("Taken for granted", plan.assumptions)
        return page + "</body></html>\n"
    }

    // MARK: Parts

    private static let style = """
        :root { color-scheme: light dark }
        body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
        table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .3rem .6rem }
        tr { border-top: 1px solid #8885 } td { white-space: pre-line; overflow-wrap: anywhere }
        .good { border-left: 4px solid #2a8; padding-left: .8rem } .bad { border-left: 4px solid #d33; padding-left: .8rem }
        svg { width: 100%; height: auto } svg text { font-size: 11px; fill: currentColor }
        .change { fill: #37c } .assumed { fill: #c90 } .refused { fill: #d33 } .grid { stroke: #8885 }
        """

    /// One bar a step, in the order of the table: changes, what is taken for granted, what is refused.
    private static func timeLine(_ steps: [PlanStep], until end: Double) -> String {
        guard !steps.isEmpty, end > 0 else { return "" }
        let (left, width, row) = (230.0, 670.0, 18.0)
        let height = Double(steps.count) * row + 30
        var svg = "<h2>Time line</h2>\n<svg viewBox=\"0 0 920 \(Int(height))\" role=\"img\">\n"
        for part in 0...4 {
            let x = left + width * Double(part) / 4
            svg += "<line class=\"grid\" x1=\"\(x)\" y1=\"0\" x2=\"\(x)\" y2=\"\(height - 20)\"/>"
            svg += "<text x=\"\(x)\" y=\"\(height - 6)\" text-anchor=\"middle\">"
            svg += PlanText.seconds(end * Double(part) / 4) + "</text>\n"
        }
        for (index, step) in steps.enumerated() {
            let y = Double(index) * row
            let kind = step.failure != nil ? "refused" : step.assumed != nil ? "assumed" : "change"
            let name = "\(step.function) \(step.object ?? "")"
            svg += "<text x=\"0\" y=\"\(y + 13)\">\(escaped(String(name.prefix(38))))</text>"
            svg +=
                "<rect class=\"\(kind)\" x=\"\(left + width * step.expectedAtSeconds / end)\" y=\"\(y + 4)\" height=\"11\""
            svg += " width=\"\(max(2, width * step.expectedSeconds / end))\"/>\n"
        }
        return svg + "</svg>\n"
    }

    private static func list(_ title: String, _ lines: [String]) -> String {
        guard !lines.isEmpty else { return "" }
        return "<h2>\(title)</h2>\n<ul>" + lines.map { "<li>\(escaped($0))</li>" }.joined(separator: "\n") + "</ul>\n"
    }

    private static func table(_ title: String, _ heads: [String], _ rows: [[String]]) -> String {
        guard !rows.isEmpty else { return "" }
        let head = heads.map { "<th>\($0)</th>" }.joined()
        let body = rows.map { "<tr>" + $0.map { "<td>\(escaped($0))</td>" }.joined() + "</tr>" }
        return "<h2>\(title)</h2>\n<table><tr>\(head)</tr>\n\(body.joined(separator: "\n"))</table>\n"
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, letter in
            switch letter {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(letter)
            }
        }
    }
}
