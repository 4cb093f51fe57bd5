import RecoveryEngine
import SiteModel

/// A status for people.
enum StatusText {
    static func text(
        _ rows: [VMStatus], _ health: VaultHealth, _ replicator: ReplicatorStanding, now: Timestamp, width: Int
    ) -> String {
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
        var notes = silent(rows) + rows.flatMap { Self.notes($0, replicator, now) + why(healths[$0.relationship.id]) }
        if !replicator.isRunning {
            notes.append("perilune replicate does not run, so no point is made on time: \(replicator.words(now: now))")
        }
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
    private static func notes(_ row: VMStatus, _ replicator: ReplicatorStanding, _ now: Timestamp) -> [String] {
        let name = row.relationship.name
        var notes: [String] = []
        if let copy = formerCopy(row) { notes.append("\(name): \(copy)") }
        if let job = row.job { notes.append(JobText.note(job, row.jobStanding, vm: name, replicator, now: now)) }
        if let excluded = row.relationship.excludedDisks {
            notes.append("\(name): left out of replication: \(excluded.joined(separator: ", "))")
        }
        if let plan = row.relationship.firstCopy, row.relationship.state == .firstCopyPending {
            let growing = row.relationship.growing
            let there = growing.map { "\(Text.bytes($0.bytes)) of it are at the target; " } ?? ""
            notes.append("\(name): \(there)\(firstCopy(plan))")
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

    /// All about one VM: what comes next first, then power, test VM and points, and at last what is refused.
    static func details(of row: VMStatus, _ points: [RecoveryPoint], now: Timestamp, why: Bool, width: Int) -> String {
        let owner = row.owner?.name ?? "the owner"
        let power = row.runsAtOwner.map { $0 ? "runs at \(owner)" : "off at \(owner)" } ?? "\(owner) does not answer"
        var text = next(row, width: width)
        text += "\n\npower: \(power)\n"
        for line in TestText.lines(of: row) { text += line + "\n" }
        text += "test: \(tested(row.relationship, now: now))\n"
        text += "\nrecovery points\n"
        text +=
            points.isEmpty
            ? "  none"
            : Text.table(
                points.map { point in
                    [
                        "  \(point.number)", Text.time(point.at), point.cause.rawValue, Text.bytes(point.bytes),
                        point.group.map { "of group point \($0)" } ?? point.crashReason ?? "",
                        standing(of: point, now: now),
                    ]
                })
        for point in points {
            guard let damage = point.damage else { continue }
            let line = "point \(point.number) is damaged: \(damage.text)"
            text += "\n" + Text.wrap("  " + line, width: width).joined(separator: "\n")
        }
        if let diverged = row.relationship.divergence {
            let size = diverged.isExact ? " (\(Text.bytes(diverged.totalBytes)))" : ""
            let line =
                "the former owner's disks hold what the VM went on without\(size), since \(Text.time(diverged.at)): "
                + "perilune divergence \(Text.word(row.relationship.name))"
            text += "\n\n" + Text.wrap(line, width: width).joined(separator: "\n")
        }
        if why { return text + "\n\n" + refused(row, width: width) }
        let names = row.next.refused.map(\.operation.rawValue)
        guard !names.isEmpty else { return text }
        let short = "refused now: \(names.joined(separator: ", ")) (--why says why)"
        return text + "\n\n" + Text.wrap(short, width: width).joined(separator: "\n")
    }

    /// What is known of a point's content.
    private static func standing(of point: RecoveryPoint, now: Timestamp) -> String {
        if point.damage != nil { return "DAMAGED" }
        if let at = point.verifiedAt { return "verified \(Text.age(now.seconds(since: at))) ago" }
        if let at = point.checkedAt { return "read \(Text.age(now.seconds(since: at))) ago" }
        return ""
    }

    /// Where one VM stands, and which operations come next, the recommended first.
    static func next(_ row: VMStatus, width: Int) -> String {
        var text = Text.wrap(row.next.summary, width: width).joined(separator: "\n")
        text += "\n\nnext\n"
        let name = row.relationship.name
        let steps = row.next.steps.map { step in
            "\(step.operation.rawValue): \(step.why)"
                + (JobText.command(for: step, vm: name).map { " (\($0))" } ?? "")
        }
        let lines = JobText.takeUp(row).map { [$0 + ": takes up the job whose engine is dead"] } ?? []
        text +=
            (lines + steps).isEmpty
            ? "  nothing now"
            : (lines + steps).enumerated().flatMap { number, step in
                Text.wrap("  \(number + 1). \(step)", width: width)
            }.joined(separator: "\n")
        return text
    }

    /// Why the other operations may not come next.
    static func refused(_ row: VMStatus, width: Int) -> String {
        "refused now\n"
            + row.next.refused.map { refusal in
                let hint = Text.wrap("      " + refusal.rule.hint, width: width)
                let reason = Text.wrap(
                    "  \(refusal.operation.rawValue): \(refusal.rule.id). \(refusal.rule.sentence)", width: width)
                return (reason + hint).joined(separator: "\n")
            }.joined(separator: "\n")
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
}
