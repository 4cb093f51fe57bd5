import RecoveryEngine
import SiteModel

/// A status for machines.
enum StatusJSON {
    private struct Row: Encodable {
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
        /// "driven", "held" or "orphaned"; with the last one, the command that takes the job up.
        var jobStanding: String?
        var takeUp: String?
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
        /// What the former owner's disks hold that the VM went on without.
        var divergence: KeptDivergence?
        var excludedDisks: [String]?
        var firstCopy: FirstCopyRecord?
        /// What the target keeps of a first copy that is not whole.
        var growing: FirstCopyProgress?
        /// How far the open job's copy is, in bytes; and how long it takes at its present rate.
        var progress: TransferProgress?
        var secondsLeft: Double?
        /// Of the one VM that was asked for.
        var recoveryPoints: [RecoveryPoint]?
        /// Where it stands and how it goes on.
        var summary: String
        var next: [String]
        var refused: [RefusedJSON]
    }

    static func text(
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
                jobStanding: row.jobStanding.map(JobText.word), takeUp: JobText.takeUp(row),
                lastError: row.relationship.lastError, runsAtOwner: row.runsAtOwner,
                runsWithoutOwnership: row.runsWithoutOwnership.map(\.name),
                testVM: row.relationship.test?.vmName, test: row.relationship.testStanding(now: now).word,
                testAgeSeconds: row.relationship.lastTestFailoverAt.map { now.seconds(since: $0) },
                lastTest: row.relationship.lastTest, formerCopy: row.relationship.formerCopy,
                divergence: row.relationship.divergence, excludedDisks: row.relationship.excludedDisks,
                firstCopy: row.relationship.firstCopy, growing: row.relationship.growing,
                progress: row.job?.progress, secondsLeft: row.job?.progress?.secondsLeft,
                recoveryPoints: points.isEmpty ? nil : points,
                summary: row.next.summary, next: row.next.steps.map(\.operation.rawValue),
                refused: row.next.refused.map(RefusedJSON.init))
        }
        return try JSON.text(values)
    }
}

/// An operation that may not begin now, and why.
struct RefusedJSON: Encodable {
    var operation: String
    var rule: String
    var reason: String
    var hint: String

    init(_ refusal: Refusal) {
        operation = refusal.operation.rawValue
        rule = refusal.rule.id
        reason = refusal.rule.sentence
        hint = refusal.rule.hint
    }
}
