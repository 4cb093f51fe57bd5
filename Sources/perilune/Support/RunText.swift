import Foundation
import RecoveryEngine
import RecoveryScripting
import SiteModel

/// Runs as people and machines read them.
enum RunText {
    static let heads = ["run", "script", "begun", "state"]

    static func row(_ standing: RunStanding) -> [String] {
        let run = standing.run
        return [String(run.id.prefix(8)), run.script, Text.time(run.startedAt), state(standing)]
    }

    private static func state(_ standing: RunStanding) -> String {
        let run = standing.run
        switch standing.state {
        case .over: return run.outcome ?? "over"
        case .driven: return "under way, driven by \(driver(standing))"
        case .paused: return "stands still: \(run.pause?.message ?? "")"
        case .orphaned: return run.setUp == nil ? "its process has died" : "its process has died; it can be resumed"
        }
    }

    /// Who drives the run; a process of this machine that has died still holds its lease for a while.
    private static func driver(_ standing: RunStanding) -> String {
        guard let driver = standing.driver else { return "another process" }
        guard driver.host == ProcessInfo.processInfo.hostName, let id = driver.processID, kill(pid_t(id), 0) != 0,
            errno == ESRCH
        else { return driver.words }
        let seconds = Int((standing.freeIn ?? 0).rounded(.up))
        return "\(driver.words), which has died: it can be resumed in \(seconds) s"
    }

    /// One line for `status`.
    static func line(_ standing: RunStanding) -> String {
        "run \(standing.run.id.prefix(8)) of \(standing.run.script): \(state(standing))"
            + (standing.state == .driven ? "" : "; see: perilune runs show \(standing.run.id.prefix(8))")
    }

    static func lines(_ standing: RunStanding, _ steps: [RunSteps.Step]) -> String {
        let run = standing.run
        var lines = ["run \(run.id) of \(run.script), begun \(Text.time(run.startedAt))", "  " + state(standing)]
        if let pause = run.pause {
            if let step = pause.step {
                lines.append("  at step \(step), \(pause.function ?? "")\(pause.position.map { " (\($0))" } ?? "")")
            }
            if let rule = pause.rule { lines.append("  rule: \(rule)") }
            if let hint = pause.hint { lines.append("  hint: \(hint)") }
        }
        if run.isOpen, standing.state != .driven { lines.append("  " + wayOn(run)) }
        guard !steps.isEmpty else { return lines.joined(separator: "\n") }
        lines.append("")
        lines.append(Text.table([["step", "function", "came to"]] + steps.map { [$0.step, $0.function, $0.outcome] }))
        return lines.joined(separator: "\n")
    }

    /// What lets the run go on.
    static func wayOn(_ run: Run) -> String {
        let resume = "perilune resume \(run.id.prefix(8))"
        guard let pause = run.pause else { return "go on: \(resume)" }
        switch pause.cause {
        case .interrupted: return "go on: \(resume)"
        case .failed, .unknown:
            return "go on: \(resume) --retry; or --skip --value V --reason \"...\"; or --fail"
        case .diverged: return "end it: perilune runs cancel \(run.id.prefix(8))"
        }
    }

    struct Report: Encodable {
        var run: String
        var script: String
        var state: String
        var begun: Timestamp
        var ended: Timestamp?
        var outcome: String?
        var driver: String?
        var pause: RunPause?
        var steps: [RunSteps.Step]?

        init(_ standing: RunStanding) {
            run = standing.run.id
            script = standing.run.script
            state = standing.state.rawValue
            begun = standing.run.startedAt
            ended = standing.run.endedAt
            outcome = standing.run.outcome
            driver = standing.driver?.words
            pause = standing.run.pause
        }
    }
}
