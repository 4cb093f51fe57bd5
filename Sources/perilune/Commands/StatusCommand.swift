internal import ArgumentParser
import RecoveryEngine
import SiteModel
import VaultStore

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
            let health = try await engine.health()
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
            let details = vm == nil ? nil : rows.first
            let points = try await engine.vault.read { vault in
                try details.map { try vault.objects(RecoveryPoint.self, parent: $0.relationship.id).map(\.value) } ?? []
            }.sorted { $0.number < $1.number }
            if options.json { return Terminal.say(try StatusText.json(rows, health, points, now: now)) }
            let width = Terminal.width()
            var place: String?
            if let vault = engine.vault as? SQLiteVault { place = try await VaultPlaceText.line(of: vault) }
            Terminal.say(StatusText.text(rows, health, width: width))
            if let place { Terminal.say(place) }
            for (plan, run) in try await engine.openPlanRuns() {
                Terminal.say(
                    "plan \(plan.name): \(run.operation.rawValue) is \(run.state.rawValue)"
                        + (run.phase.map { ", at \($0)" } ?? "") + (run.failure.map { ": \($0.message)" } ?? ""))
            }
            if let details { Terminal.say("\n" + StatusText.details(of: details, points, now: now, width: width)) }
        }
    }
}

/// The two forms of a status.
enum StatusText {
    static func text(_ rows: [VMStatus], _ health: VaultHealth, width: Int) -> String {
        guard !rows.isEmpty else { return "no VM is replicated yet" }
        let warnings = rows.flatMap { row in
            row.runsWithoutOwnership.filter { !isSuspended(row.relationship, at: $0) }.map {
                row.runsAtOwner == true
                    ? "WARNING: \(row.relationship.name) runs at \($0.name) too, which does not own it: "
                        + "two copies are being written"
                    : "WARNING: \(row.relationship.name) runs at \($0.name), which does not own it as far as this vault knows. "
                        + "If perilune host failover started it there, perilune replicate takes that over; "
                        + "if its owner runs too, two copies are being written"
            }
        }
        let healths = Dictionary(
            health.items.map { ($0.relationship.id, $0) }, uniquingKeysWith: { first, _ in first })
        let notes = silent(rows) + rows.flatMap { Self.notes($0) + why(healths[$0.relationship.id]) }
        let table = [(true, true), (false, true), (false, false)].map {
            self.table(rows, healths, next: $0, direction: $1)
        }
        let fitting = table.first { $0.split(separator: "\n").allSatisfy { $0.count <= width } } ?? table[2]
        return (warnings + [fitting] + notes.flatMap { Text.wrap($0, width: width) }).joined(separator: "\n")
    }

    /// Owners that do not answer, each with its VMs.
    private static func silent(_ rows: [VMStatus]) -> [String] {
        let vms = Dictionary(grouping: rows.filter { $0.runsAtOwner == nil }) { $0.owner?.name ?? "the owner" }
        return vms.sorted { $0.key < $1.key }.map { owner, rows in
            "\(owner) does not answer: whether \(rows.map(\.relationship.name).joined(separator: ", ")) "
                + (rows.count == 1 ? "runs is not known" : "run is not known")
        }
    }

    /// A suspended copy writes nothing.
    private static func isSuspended(_ relationship: Relationship, at host: SiteModel.Host) -> Bool {
        relationship.formerCopy.map { $0.host == host.id && $0.state == .suspended } ?? false
    }

    /// What is known of the copy that a former owner came back with.
    private static func formerCopy(_ row: VMStatus) -> String? {
        guard let copy = row.relationship.formerCopy else { return nil }
        let host = [row.source, row.target].compactMap { $0 }.first { $0.id == copy.host }?.name ?? "its former owner"
        return switch copy.state {
        case .suspended:
            "ALERT: its former copy came back running at \(host) (epoch \(copy.epoch)): it is suspended, its links are "
                + "down and its disks kept; end it there (virsh destroy) before the direction is reversed"
        case .stopped: "its former copy at \(host) is off and kept from starting; nothing is replicated from it"
        }
    }

    /// What wants a line of its own below the table.
    private static func notes(_ row: VMStatus) -> [String] {
        let name = row.relationship.name
        var notes: [String] = []
        if let copy = formerCopy(row) { notes.append("\(name): \(copy)") }
        if let job = row.job {
            let stage = job.stages.first { $0.state == .begun }?.name
            let held = job.isHeld ? ", held before \(job.hold?.rawValue ?? "its next stage") by a plan" : nil
            notes.append(
                "\(name): \(job.operation.rawValue) is under way" + (held ?? stage.map { ", at stage \($0)" } ?? ""))
        }
        if let excluded = row.relationship.excludedDisks {
            notes.append("\(name): left out of replication: \(excluded.joined(separator: ", "))")
        }
        if let plan = row.relationship.firstCopy, row.relationship.state == .firstCopyPending {
            notes.append("\(name): \(firstCopy(plan))")
        }
        if let error = row.relationship.lastError { notes.append("\(name): last error: \(error)") }
        return notes
    }

    /// Why health is not normal.
    private static func why(_ health: ItemHealth?) -> [String] {
        (health?.errors ?? []).map { "\(health?.name ?? ""): \($0.level.rawValue): \($0.message)" }
    }

    private static func firstCopy(_ plan: FirstCopyRecord) -> String {
        if let exported = plan.exported {
            return
                "first copy to be carried: bring \(exported.folder) to \(plan.importPath ?? "the target"), then import it"
        }
        return plan.startAt.map { "first copy begins \(Text.time($0))" } ?? "first copy waits to be begun"
    }

    private static func table(_ rows: [VMStatus], _ healths: [String: ItemHealth], next: Bool, direction: Bool)
        -> String
    {
        let heading =
            ["VM", "STATE", "HEALTH", "OWNER", "POWER"] + (direction ? ["DIRECTION"] : []) + ["LAST POINT", "RPO"]
            + (next ? ["NEXT"] : [])
        return Text.table(
            [heading]
                + rows.map { row in
                    var cells = [
                        row.relationship.name, row.relationship.state.rawValue,
                        healths[row.relationship.id]?.health.rawValue ?? "?", row.owner?.name ?? "?", power(row),
                    ]
                    if direction { cells.append("\(row.source?.name ?? "?") -> \(row.target?.name ?? "?")") }
                    cells.append(row.newestPoint.map { "\($0.number) (\(row.points) kept)" } ?? "none")
                    cells.append(healths[row.relationship.id].map(HealthText.age) ?? "-")
                    if next { cells.append(allowed(row).joined(separator: ", ")) }
                    return cells
                })
    }

    private static func power(_ row: VMStatus) -> String { row.runsAtOwner.map { $0 ? "on" : "off" } ?? "?" }

    private static func allowed(_ row: VMStatus) -> [String] {
        row.next.steps.map(\.operation.rawValue)
    }

    /// All about one VM: power, test VM, points, and each operation with the reason why it may not come next.
    static func details(of row: VMStatus, _ points: [RecoveryPoint], now: Timestamp, width: Int) -> String {
        let owner = row.owner?.name ?? "the owner"
        let power = row.runsAtOwner.map { $0 ? "runs at \(owner)" : "off at \(owner)" } ?? "\(owner) does not answer"
        var text = "power: \(power)\n"
        if let test = row.relationship.test {
            text +=
                "test VM: \(test.vmName) at \(row.target?.name ?? "?"), until \(Text.time(test.endsAt)) at the latest\n"
        }
        text += "test: \(tested(row.relationship, now: now))\n"
        text += "\nrecovery points\n"
        text +=
            points.isEmpty
            ? "  none"
            : Text.table(
                points.map { point in
                    ["  \(point.number)", Text.time(point.at), point.cause.rawValue, Text.bytes(point.bytes)]
                })
        text += "\n\n" + next(row, width: width)
        return text
    }

    /// Where one VM stands, which operations come next, the recommended first, and why not the others.
    static func next(_ row: VMStatus, width: Int) -> String {
        var text = Text.wrap(row.next.summary, width: width).joined(separator: "\n")
        text += "\n\nnext\n"
        text +=
            row.next.steps.isEmpty
            ? "  nothing now"
            : row.next.steps.enumerated().flatMap { number, step in
                Text.wrap("  \(number + 1). \(step.operation.rawValue): \(step.why)", width: width)
            }.joined(separator: "\n")
        text += "\n\nrefused now\n"
        text += row.verdicts.compactMap(\.refusal).map { refusal in
            let hint = Text.wrap("      " + refusal.rule.hint, width: width)
            let reason = Text.wrap(
                "  \(refusal.operation.rawValue): \(refusal.rule.id). \(refusal.rule.sentence)", width: width)
            return (reason + hint).joined(separator: "\n")
        }.joined(separator: "\n")
        return text
    }

    /// Where the VM stands with its tests, and how old the last good one is.
    private static func tested(_ relationship: Relationship, now: Timestamp) -> String {
        let standing = relationship.testStanding(now: now)
        var text = standing.word
        if case .notApplicable(let why) = standing { text += " (\(why))" }
        if let at = relationship.lastTestFailoverAt {
            text += ", last passed \(Text.age(now.seconds(since: at))) ago"
        } else {
            text += ", never passed"
        }
        if let last = relationship.lastTest, !last.passed { text += "; the last one did not pass" }
        if let notes = relationship.lastTest?.notes { text += "; notes: \(notes)" }
        return text
    }

    private struct Row: Encodable {
        struct Refused: Encodable {
            var operation: String
            var rule: String
            var reason: String
            var hint: String
        }
        var vm: String
        var state: String
        var health: ReplicationHealth?
        var healthReasons: [String]
        /// Left out when there is no recovery point.
        var rpoSeconds: Double?
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
        /// Left out when the owner does not answer.
        var runsAtOwner: Bool?
        var runsWithoutOwnership: [String]
        var testVM: String?
        /// "recommended", "passed" or "not-applicable".
        var test: String
        /// Seconds since a test and its clean-up last succeeded.
        var testAgeSeconds: Double?
        var lastTest: TestReport?
        var formerCopy: FormerCopy?
        var excludedDisks: [String]?
        var firstCopy: FirstCopyRecord?
        /// Of the one VM that was asked for.
        var recoveryPoints: [RecoveryPoint]?
        /// Where it stands and how it goes on.
        var summary: String
        var next: [String]
        var refused: [Refused]
    }

    static func json(
        _ rows: [VMStatus], _ health: VaultHealth, _ points: [RecoveryPoint], now: Timestamp
    ) throws -> String {
        let values = rows.map { row in
            let item = health.items.first { $0.relationship.id == row.relationship.id }
            return Row(
                vm: row.relationship.name, state: row.relationship.state.rawValue, health: item?.health,
                healthReasons: item?.errors.map(\.message) ?? [], rpoSeconds: item?.recoveryPointAge,
                owner: row.owner?.name,
                source: row.source?.name, target: row.target?.name, epoch: row.relationship.epoch,
                lastPoint: row.newestPoint?.number, lastPointAt: row.newestPoint?.at.milliseconds,
                ageSeconds: row.newestPoint.map { now.seconds(since: $0.at) }, points: row.points, job: row.job?.id,
                lastError: row.relationship.lastError, runsAtOwner: row.runsAtOwner,
                runsWithoutOwnership: row.runsWithoutOwnership.map(\.name),
                testVM: row.relationship.test?.vmName, test: row.relationship.testStanding(now: now).word,
                testAgeSeconds: row.relationship.lastTestFailoverAt.map { now.seconds(since: $0) },
                lastTest: row.relationship.lastTest, formerCopy: row.relationship.formerCopy,
                excludedDisks: row.relationship.excludedDisks,
                firstCopy: row.relationship.firstCopy, recoveryPoints: points.isEmpty ? nil : points,
                summary: row.next.summary, next: allowed(row),
                refused: row.verdicts.compactMap { verdict in
                    verdict.refusal.map {
                        Row.Refused(
                            operation: verdict.operation.rawValue, rule: $0.rule.id, reason: $0.rule.sentence,
                            hint: $0.rule.hint)
                    }
                })
        }
        return try JSON.text(values)
    }
}
