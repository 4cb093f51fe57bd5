import SiteModel

/// A limit of the original that was its service's own and is lifted here, and how far that is known to hold.
package struct ReferenceLimit: Sendable {
    package let original: String
    package let here: String
    /// What was tried, at which size.
    package let measured: String
    /// Files of the project, and a text in each that shows the size.
    package let evidence: [(file: String, text: String)]
}

/// All of them, and the part of docs/from-site-recovery.md that is made of them.
package enum ReferenceLimits {
    package static let all: [ReferenceLimit] = [
        ReferenceLimit(
            original: "100 protected instances in a recovery plan",
            here: "\(ReferenceObjects.count(PlanLimits.vms)), against damaged files",
            measured: "1,000 VMs in 50 groups: kept, exported, imported, tested, failed over and committed",
            evidence: [
                ("docs/decisions/0008-recovery-plans.md", "1,000 VMs in 50 groups"),
                ("Tests/RecoveryEngineTests/Plans/PlanKeepingTests.swift", "PERILUNE_PLAN_VMS=1000"),
            ]),
        ReferenceLimit(
            original: "7 groups in a recovery plan, one after the other",
            here: "\(ReferenceObjects.count(PlanLimits.groups)), in a graph, also across plans",
            measured: "a chain of 1,000 groups is read and checked; 50 groups are run",
            evidence: [("Tests/SiteModelTests/Plans/PlanChecksTests.swift", "(1...1000)")]),
        ReferenceLimit(
            original: "16 disks a VM", here: "none",
            measured:
                "\(VMChecks.measuredDisks) disks at one instant, failed over and home, on the engine tests' fakes; more is told of by `disk-count`",
            evidence: [("Tests/RecoveryEngineTests/ManyDisksTests.swift", "VMChecks.measuredDisks")]),
        ReferenceLimit(
            original: "published load: 470 VMs, of which 94 at 30 s", here: "none",
            measured:
                "1,000 simulated VMs at 30 s (`scripts/bench model`); 100 of them in each run of the tests, none late",
            evidence: [
                ("Sources/model-bench/ScheduleFigures.swift", "private let vms = 1000"),
                ("Tests/SimulationTests/ScheduleTests.swift", "vms: 100, hosts: 4"),
            ]),
        ReferenceLimit(
            original: "protected items of a vault", here: "none",
            measured: "10,000, of which one cloud's 1,000 are listed",
            evidence: [("Tests/VaultStoreTests/VaultScaleTests.swift", "One cloud of 1,000 among ten")]),
        ReferenceLimit(
            original: "first copy scheduled at most 24 hours ahead",
            here: "\(Int(FirstCopyRecord.longestDelay / 86_400)) days, as the hosts' own replication has it",
            measured: "-",
            evidence: [("Sources/SiteModel/Objects/FirstCopyRecord.swift", "7 * 24 * 3600")]),
        ReferenceLimit(
            original: "600 s for a script of a plan",
            here:
                "unless it says otherwise, up to \(Int(PlanLimits.timeout.upperBound / 86_400)) days; its whole output is kept, to \(PlanLimits.outputBytes / 1_048_576) MiB",
            measured: "-", evidence: [("Sources/SiteModel/Plans/RecoveryPlan.swift", "604_800")]),
        ReferenceLimit(
            original: "no IPv6 between hosts", here: "allowed; addresses that guests are told are IPv4", measured: "-",
            evidence: []),
    ]

    /// The generated part of the page, its border lines included.
    package static func markdown() -> String {
        let rows = all.map { limit in
            let files = limit.evidence.map { "`\($0.file)`" }.joined(separator: ", ")
            return "| \(limit.original) | \(limit.here) | \(limit.measured) | \(files.isEmpty ? "-" : files) |"
        }
        return """
            \(ReferencePage.begin("limits"))

            | the original's limit | here | measured or tried | where |
            | --- | --- | --- | --- |
            \(rows.joined(separator: "\n"))

            Kept are: up to \(Policy.recoveryPointLimits.upperBound) recovery points beyond the newest, the copy frequencies, an item in one group of a plan
            only, one pair for a cloud, one test of a VM at a time, \(Int(TestRecord.longest / 86_400)) days for a test that says nothing else.

            \(ReferencePage.end("limits"))
            """
    }
}
