internal import ArgumentParser
import Foundation
import RecoveryEngine
import SiteModel

/// Per VM: state, last point and its age, owner, and which operations may come next.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows every replicated VM and which operation may come next.")

    @OptionGroup var options: VaultOptions

    @Argument(help: "Show this VM only, with the reason for each operation that is refused.")
    var vm: String?

    func run() async throws {
        try await Failure.reporting {
            let engine = try options.engine(display: JobDisplay(quiet: true))
            var rows = try await engine.status()
            if let vm {
                let names = rows.map(\.relationship.name)
                rows = rows.filter { $0.relationship.name == vm }
                if rows.isEmpty {
                    let nearest = Nearest.suggestion(for: vm, among: names)
                    throw EngineError(
                        .unknown, "no replicated VM is called '\(vm)'",
                        hint: nearest.map { "did you mean '\($0)'?" } ?? "there are: \(names.joined(separator: ", "))")
                }
            }
            let now = engine.dependencies.clock.now
            Terminal.say(
                options.json ? try StatusText.json(rows, now: now) : StatusText.text(rows, now: now, details: vm != nil)
            )
        }
    }
}

/// The two forms of a status.
enum StatusText {
    static func text(_ rows: [VMStatus], now: Timestamp, details: Bool) -> String {
        guard !rows.isEmpty else { return "no VM is replicated yet" }
        var lines = [["VM", "STATE", "OWNER", "DIRECTION", "LAST POINT", "AGE", "NEXT"]]
        for row in rows {
            lines.append([
                row.relationship.name, state(row), row.owner?.name ?? "?",
                "\(row.source?.name ?? "?") -> \(row.target?.name ?? "?")",
                row.newestPoint.map { "\($0.number) (\(row.points) kept)" } ?? "none",
                row.newestPoint.map { Text.age(now.seconds(since: $0.at)) } ?? "-",
                row.verdicts.filter { $0.refusal == nil }.map(\.operation.rawValue).joined(separator: ", "),
            ])
        }
        var text = Text.table(lines)
        for row in rows {
            if let error = row.relationship.lastError { text += "\n\(row.relationship.name): last error: \(error)" }
        }
        if details, let row = rows.first {
            text += "\n\nrefused now:\n"
            text += Text.table(
                row.verdicts.compactMap { verdict in
                    verdict.refusal.map { ["  " + verdict.operation.rawValue, $0.rule.id, $0.rule.hint] }
                })
        }
        return text
    }

    private static func state(_ row: VMStatus) -> String {
        guard let job = row.job else { return row.relationship.state.rawValue }
        let stage = job.stages.first { $0.state == .begun }?.name
        return row.relationship.state.rawValue + (stage.map { " (\($0))" } ?? "")
    }

    private struct Row: Encodable {
        struct Refused: Encodable {
            var operation: String
            var rule: String
            var hint: String
        }
        var vm: String
        var state: String
        var owner: String?
        var source: String?
        var target: String?
        var epoch: Int
        var lastPoint: Int?
        var lastPointAt: Int64?
        var ageSeconds: Double?
        var points: Int
        var job: String?
        var lastError: String?
        var next: [String]
        var refused: [Refused]
    }

    static func json(_ rows: [VMStatus], now: Timestamp) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let values = rows.map { row in
            Row(
                vm: row.relationship.name, state: row.relationship.state.rawValue, owner: row.owner?.name,
                source: row.source?.name, target: row.target?.name, epoch: row.relationship.epoch,
                lastPoint: row.newestPoint?.number, lastPointAt: row.newestPoint?.at.milliseconds,
                ageSeconds: row.newestPoint.map { now.seconds(since: $0.at) }, points: row.points, job: row.job?.id,
                lastError: row.relationship.lastError,
                next: row.verdicts.filter { $0.refusal == nil }.map(\.operation.rawValue),
                refused: row.verdicts.compactMap { verdict in
                    verdict.refusal.map {
                        Row.Refused(operation: verdict.operation.rawValue, rule: $0.rule.id, hint: $0.rule.hint)
                    }
                })
        }
        return String(decoding: try encoder.encode(values), as: UTF8.self)
    }
}
