import SiteModel
import Testing

/// A question to the guards and the rule that must answer it; nil when the operation may begin.
struct GuardCase: Sendable, CustomTestStringConvertible {
    var title: String
    var operation: Operation
    var state: ReplicationState
    var rule: String?
    var inCloud = true
    var relationship: @Sendable (inout Relationship) -> Void = { _ in }
    var facts: @Sendable (inout SiteFacts) -> Void = { _ in }

    var testDescription: String { title }
}

enum Sample {
    static func relationship(_ state: ReplicationState, named name: String = "orders") -> Relationship {
        var relationship = Relationship(
            id: "r-\(name)", name: name, vmUUID: "u-\(name)", source: "host-a", target: "host-b", policy: "p", disks: []
        )
        relationship.state = state
        relationship.newestGeneration = "g1"
        if [.failedOver, .committed, .reversing].contains(state) {
            relationship.owner = "host-b"
            relationship.epoch = 2
        }
        return relationship
    }

    static let item = ProtectedItem(id: "i", name: "orders", cloud: "gold", pair: "pair", relationship: "r-orders")

    /// The server's own VM, running, its relationship as `change` makes it.
    static func management(
        _ state: ReplicationState, _ change: (inout Relationship) -> Void = { _ in }
    ) -> SiteFacts.ManagementVM {
        var own = relationship(state, named: "vmm01")
        change(&own)
        return SiteFacts.ManagementVM(running: true, relationship: own)
    }

    /// The server's own VM, failed over to B and back to A, in some state there.
    static func returned(_ state: ReplicationState) -> SiteFacts.ManagementVM {
        management(state) { own in
            (own.source, own.target, own.owner, own.epoch) = ("host-a", "host-b", "host-a", 3)
        }
    }
}

@Suite("Guards")
struct GuardsTests {
    static let cases: [GuardCase] = setup + managementServer + sites + points + copies + exclusion

    static let setup: [GuardCase] = [
        GuardCase(title: "protect, all there", operation: .protect, state: .unprotected, rule: nil),
        GuardCase(
            title: "protect without a policy", operation: .protect, state: .unprotected, rule: "policy-required",
            facts: { $0.policyExists = false }),
        GuardCase(
            title: "protect in a cloud without a pair", operation: .protect, state: .unprotected, rule: "pair-required",
            facts: { $0.cloudIsPaired = false }),
        GuardCase(
            title: "a VM outside the clouds needs no pair", operation: .protect, state: .unprotected, rule: nil,
            inCloud: false, facts: { $0.cloudIsPaired = false }),
        GuardCase(
            title: "the management server's VM in a cloud", operation: .protect, state: .unprotected,
            rule: "management-vm-outside-clouds", facts: { $0.isManagementVM = true }),
        GuardCase(
            title: "the management server's VM by the hosts", operation: .protect, state: .unprotected, rule: nil,
            inCloud: false, facts: { $0.isManagementVM = true }),
        GuardCase(
            title: "cancel a first copy that was exported", operation: .cancelFirstCopy, state: .firstCopyPending,
            rule: "first-copy-exported", facts: { $0.firstCopyExported = true }),
    ]

    private static func serverDown(
        _ operation: SiteModel.Operation, in state: ReplicationState, rule: String?, source: Bool? = nil
    ) -> GuardCase {
        GuardCase(
            title: "\(operation.rawValue) while the server's VM is down", operation: operation, state: state,
            rule: rule,
            facts: {
                $0.management = SiteFacts.ManagementVM(running: false, relationship: nil)
                $0.sourceReachable = source
            })
    }

    static let managementServer: [GuardCase] = [
        GuardCase(
            title: "the server's VM is down", operation: .unplannedFailover, state: .protected,
            rule: "management-server-first",
            facts: { $0.management = SiteFacts.ManagementVM(running: false, relationship: nil) }),
        GuardCase(
            title: "nobody has looked whether the server's VM runs", operation: .commit, state: .failedOver,
            rule: "management-server-first",
            facts: { $0.management = SiteFacts.ManagementVM(running: nil, relationship: nil) }),
        GuardCase(
            title: "the server's own VM does not wait for itself", operation: .unplannedFailover, state: .protected,
            rule: nil, inCloud: false,
            facts: { $0.management = SiteFacts.ManagementVM(running: false, relationship: nil) }),
        GuardCase(
            title: "cycles go on without the server", operation: .sync, state: .protected, rule: nil,
            facts: { $0.management = SiteFacts.ManagementVM(running: false, relationship: nil) }),
        serverDown(.cleanUpTest, in: .testing, rule: nil), serverDown(.pause, in: .protected, rule: nil),
        serverDown(.pauseResync, in: .resynchronizing, rule: nil),
        serverDown(.cancelResync, in: .resynchronizing, rule: nil),
        serverDown(.cancelFirstCopy, in: .firstCopy, rule: nil),
        serverDown(.unprotect, in: .protected, rule: nil, source: true),
        serverDown(.unprotect, in: .protected, rule: "management-server-first", source: false),
        serverDown(.unprotect, in: .protected, rule: "management-server-first", source: nil),
        serverDown(.plannedFailover, in: .protected, rule: "management-server-first", source: true),
        serverDown(.testFailover, in: .protected, rule: "management-server-first", source: true),
        serverDown(.resume, in: .paused, rule: "management-server-first", source: true),
        GuardCase(
            title: "reverse while the server's VM is committed away", operation: .reverse, state: .committed,
            rule: "management-server-home-first", facts: { $0.management = Sample.management(.committed) }),
        GuardCase(
            title: "reverse while the server's VM is protected away", operation: .reverse, state: .committed,
            rule: "management-server-home-first",
            facts: {
                $0.management = Sample.management(.protected) {
                    ($0.source, $0.target, $0.owner, $0.epoch) = ("host-b", "host-a", "host-b", 2)
                }
            }),
        GuardCase(
            title: "reverse while the server's VM is home and not yet protected", operation: .reverse,
            state: .committed, rule: "management-server-home-first",
            facts: { $0.management = Sample.returned(.committed) }),
        GuardCase(
            title: "reverse when the server's VM is home and protected", operation: .reverse, state: .committed,
            rule: nil, facts: { $0.management = Sample.returned(.protected) }),
        GuardCase(
            title: "the server's VM was never failed over", operation: .reverse, state: .committed, rule: nil,
            facts: { $0.management = Sample.management(.paused) }),
        GuardCase(
            title: "reverse away from the server's home does not wait", operation: .reverse, state: .committed,
            rule: nil, relationship: { ($0.source, $0.target, $0.owner) = ("host-b", "host-a", "host-a") },
            facts: { $0.management = Sample.returned(.committed) }),
        GuardCase(
            title: "another host of the server's home site counts as home", operation: .reverse, state: .committed,
            rule: "management-server-home-first", relationship: { $0.source = "host-a2" },
            facts: {
                $0.management = Sample.management(.committed)
                $0.sites = ["host-a": "a", "host-a2": "a", "host-b": "b"]
            }),
        GuardCase(
            title: "a server in no VM has no such order", operation: .reverse, state: .committed, rule: nil),
    ]

    static let sites: [GuardCase] = [
        GuardCase(
            title: "planned failover, source away", operation: .plannedFailover, state: .protected,
            rule: "both-sites-needed", facts: { $0.sourceReachable = false }),
        GuardCase(
            title: "planned failover, target away", operation: .plannedFailover, state: .protected,
            rule: "both-sites-needed", facts: { $0.targetReachable = false }),
        GuardCase(
            title: "planned failover, both there", operation: .plannedFailover, state: .protected, rule: nil,
            facts: { ($0.sourceReachable, $0.targetReachable) = (true, true) }),
        GuardCase(
            title: "cycle, source away", operation: .sync, state: .protected, rule: "both-sites-needed",
            facts: { $0.sourceReachable = false }),
        GuardCase(
            title: "reverse, old site away", operation: .reverse, state: .committed, rule: "both-sites-needed",
            facts: { $0.sourceReachable = false }),
        GuardCase(
            title: "unplanned failover, source away", operation: .unplannedFailover, state: .protected, rule: nil,
            facts: { $0.sourceReachable = false }),
        GuardCase(
            title: "unplanned failover, target away", operation: .unplannedFailover, state: .protected,
            rule: "target-needed", facts: { $0.targetReachable = false }),
        GuardCase(
            title: "commit, target away", operation: .commit, state: .failedOver, rule: "target-needed",
            facts: { $0.targetReachable = false }),
        GuardCase(
            title: "pause, both away", operation: .pause, state: .protected, rule: nil,
            facts: { ($0.sourceReachable, $0.targetReachable) = (false, false) }),
    ]

    private static let damage = SiteFacts.DamageFacts(number: 7, text: "its files cannot be read", whole: 6)

    static let points: [GuardCase] = [
        GuardCase(
            title: "failover to a point that is not there", operation: .unplannedFailover, state: .protected,
            rule: "recovery-point-unknown", facts: { $0.chosenPointExists = false }),
        GuardCase(
            title: "unplanned failover to a point that is damaged", operation: .unplannedFailover, state: .protected,
            rule: "recovery-point-damaged", facts: { $0.damage = damage }),
        GuardCase(
            title: "planned failover over a point that is damaged", operation: .plannedFailover, state: .protected,
            rule: "recovery-point-damaged", facts: { $0.damage = damage }),
        GuardCase(
            title: "test of a point that is damaged", operation: .testFailover, state: .protected,
            rule: "recovery-point-damaged", facts: { $0.damage = damage }),
        GuardCase(
            title: "a damaged point may be read", operation: .verifyPoint, state: .protected, rule: nil,
            facts: { $0.damage = damage }),
        GuardCase(
            title: "a verification mends what a damaged point lacks", operation: .verify, state: .protected, rule: nil,
            facts: { $0.damage = damage }),
        GuardCase(
            title: "no verification to cancel", operation: .cancelVerify, state: .protected,
            rule: "no-verification-running", facts: { _ in }),
        GuardCase(
            title: "a verification is cancelled", operation: .cancelVerify, state: .protected, rule: nil,
            facts: { $0.activeOperation = .verify }),
        GuardCase(
            title: "change to a point that is not there", operation: .changePoint, state: .failedOver,
            rule: "recovery-point-unknown", facts: { $0.chosenPointExists = false }),
        GuardCase(
            title: "change to a point that is there", operation: .changePoint, state: .failedOver, rule: nil,
            facts: { $0.chosenPointExists = true }),
        GuardCase(
            title: "failover with no whole point", operation: .unplannedFailover, state: .error,
            rule: "first-copy-incomplete", relationship: { $0.newestGeneration = nil }),
    ]

    static let copies: [GuardCase] = [
        GuardCase(
            title: "nobody knows whether the source is down", operation: .unplannedFailover, state: .protected,
            rule: "source-must-be-down", facts: { $0.sourceVerdict = .unknown }),
        GuardCase(
            title: "the source is fenced", operation: .unplannedFailover, state: .protected, rule: nil,
            facts: { $0.sourceVerdict = .proven }),
        GuardCase(
            title: "the guest ignored the shutdown", operation: .plannedFailover, state: .protected,
            rule: "shutdown-needed", facts: { $0.shutdownTimedOut = true }),
        GuardCase(
            title: "the source has no room for the way back", operation: .plannedFailover, state: .protected,
            rule: "source-must-receive", facts: { $0.sourceCanReceive = false }),
        GuardCase(
            title: "an unplanned failover asks nothing of the source's room", operation: .unplannedFailover,
            state: .protected, rule: nil,
            facts: { ($0.sourceCanReceive, $0.sourceVerdict) = (false, .declared) }),
        GuardCase(
            title: "undo, source not looked at", operation: .undo, state: .failedOver, rule: "source-not-intact"),
        GuardCase(
            title: "undo, source damaged", operation: .undo, state: .failedOver, rule: "source-not-intact",
            facts: { $0.sourceIntact = false }),
        GuardCase(
            title: "undo, source whole", operation: .undo, state: .failedOver, rule: nil,
            facts: { $0.sourceIntact = true }),
        GuardCase(
            title: "undo while the target is silent, and nobody says that it is down", operation: .undo,
            state: .failedOver, rule: "target-must-be-down",
            facts: { ($0.sourceIntact, $0.targetReachable, $0.targetIsGivenUp) = (true, false, false) }),
        GuardCase(
            title: "undo while the target is given up", operation: .undo, state: .failedOver, rule: nil,
            facts: { ($0.sourceIntact, $0.targetReachable, $0.targetIsGivenUp) = (true, false, true) }),
        GuardCase(
            title: "undo, given up, with the source away too", operation: .undo, state: .failedOver,
            rule: "both-sites-needed",
            facts: { ($0.sourceReachable, $0.targetReachable, $0.targetIsGivenUp) = (false, false, true) }),
        GuardCase(
            title: "reverse while the old copy runs", operation: .reverse, state: .committed, rule: "one-writable-copy",
            facts: { $0.runningAt = ["host-a", "host-b"] }),
        GuardCase(
            title: "protect while a copy of the time before runs at the target", operation: .protect,
            state: .unprotected, rule: "one-writable-copy", facts: { $0.runningAt = ["host-a", "host-b"] }),
        GuardCase(
            title: "cycle while the replica runs", operation: .sync, state: .protected, rule: "one-writable-copy",
            facts: { $0.runningAt = ["host-a", "host-b"] }),
        GuardCase(
            title: "test in an isolated network", operation: .testFailover, state: .protected, rule: nil,
            facts: { $0.testNetwork = .init(isProduction: false, isForced: false) }),
        GuardCase(
            title: "test in a network of production", operation: .testFailover, state: .protected,
            rule: "test-outside-production", facts: { $0.testNetwork = .init(isProduction: true, isForced: false) }),
        GuardCase(
            title: "the same, forced, while the primary runs", operation: .testFailover, state: .protected,
            rule: "production-network-needs-primary-off",
            facts: {
                $0.testNetwork = .init(isProduction: true, isForced: true)
                ($0.sourceReachable, $0.runningAt) = (true, ["host-a"])
            }),
        GuardCase(
            title: "the same, forced, while nobody knows whether the primary runs", operation: .testFailover,
            state: .protected, rule: "production-network-needs-primary-off",
            facts: {
                $0.testNetwork = .init(isProduction: true, isForced: true)
                ($0.sourceReachable, $0.runningAt) = (false, [])
            }),
        GuardCase(
            title: "the same, forced, while the primary is off", operation: .testFailover, state: .protected, rule: nil,
            facts: {
                $0.testNetwork = .init(isProduction: true, isForced: true)
                ($0.sourceReachable, $0.runningAt) = (true, [])
            }),
        GuardCase(
            title: "a second test at once", operation: .testFailover, state: .testing, rule: "test-in-progress"),
        GuardCase(
            title: "cycle while only the owner runs", operation: .sync, state: .protected, rule: nil,
            facts: { $0.runningAt = ["host-a"] }),
    ]

    private static let claimed: @Sendable (inout Relationship) -> Void = { relationship in
        (relationship.activeJob, relationship.owner) = ("j", relationship.target)
    }

    static let exclusion: [GuardCase] = [
        GuardCase(
            title: "a job has the VM", operation: .sync, state: .protected, rule: "operation-in-progress",
            relationship: { $0.activeJob = "j" }),
        GuardCase(
            title: "failover does not wait for a cycle", operation: .unplannedFailover, state: .protected, rule: nil,
            relationship: { $0.activeJob = "j" }, facts: { $0.activeOperation = .sync }),
        GuardCase(
            title: "failover waits for what is no copy", operation: .unplannedFailover, state: .protected,
            rule: "operation-in-progress", relationship: { $0.activeJob = "j" },
            facts: { $0.activeOperation = .testFailover }),
        GuardCase(
            title: "the state's rule comes before the busy VM", operation: .undo, state: .failingOver,
            rule: "never-cancel-a-failover", relationship: { $0.activeJob = "j" }),
        GuardCase(
            title: "undo of a failover whose target answers", operation: .undo, state: .failingOver,
            rule: "never-cancel-a-failover", relationship: claimed,
            facts: { ($0.activeOperation, $0.targetReachable, $0.targetIsGivenUp) = (.unplannedFailover, true, true) }),
        GuardCase(
            title: "undo of a failover that has not claimed the VM", operation: .undo, state: .failingOver,
            rule: "never-cancel-a-failover", relationship: { $0.activeJob = "j" },
            facts: { ($0.activeOperation, $0.targetReachable, $0.targetIsGivenUp) = (.unplannedFailover, false, true) }
        ),
        GuardCase(
            title: "undo of a failover whose target is lost, with no word of that", operation: .undo,
            state: .failingOver, rule: "target-must-be-down", relationship: claimed,
            facts: {
                ($0.activeOperation, $0.targetReachable, $0.targetIsGivenUp) = (.plannedFailover, false, false)
            }),
        GuardCase(
            title: "undo of a failover whose target is lost", operation: .undo, state: .failingOverPlanned, rule: nil,
            relationship: claimed,
            facts: {
                ($0.activeOperation, $0.targetReachable, $0.targetIsGivenUp) = (.plannedFailover, false, true)
                $0.sourceIntact = true
            }),
        GuardCase(
            title: "a second undo", operation: .undo, state: .failingOver, rule: "operation-in-progress",
            relationship: { $0.activeJob = "j" }, facts: { $0.activeOperation = .undo }),
        GuardCase(
            title: "commit before reverse", operation: .reverse, state: .failedOver, rule: "commit-before-reverse"),
    ]

    @Test("Facts decide what the state leaves open", arguments: cases)
    func guarded(question: GuardCase) {
        var relationship = Sample.relationship(question.state)
        question.relationship(&relationship)
        var facts = SiteFacts()
        question.facts(&facts)
        let item = question.inCloud ? Sample.item : nil
        let refusal = Guards.check(question.operation, on: relationship, item: item, facts: facts)
        #expect(refusal?.rule.id == question.rule)
        if let refusal {
            #expect(refusal.operation == question.operation)
            #expect(refusal.object == "orders")
            #expect(refusal.state == question.state)
        }
    }

    @Test(
        "Ownership is claimed only when the source is known to be down",
        arguments: [
            (Operation.unplannedFailover, SourceVerdict.proven, nil, nil),
            (.unplannedFailover, .declared, nil, nil),
            (.unplannedFailover, .unknown, nil, "source-must-be-down"),
            (.unplannedFailover, nil, nil, "source-must-be-down"),
            (.plannedFailover, nil, [], nil),
            (.plannedFailover, nil, ["host-a"], "shutdown-needed"),
            (.plannedFailover, nil, nil, "shutdown-needed"),
        ] as [(Operation, SourceVerdict?, Set<String>?, String?)])
    func claim(operation: Operation, verdict: SourceVerdict?, runningAt: Set<String>?, rule: String?) {
        let facts = SiteFacts(sourceVerdict: verdict, runningAt: runningAt)
        let state: ReplicationState = operation == .plannedFailover ? .failingOverPlanned : .failingOver
        let refusal = Guards.checkClaim(operation, on: Sample.relationship(state), facts: facts)
        #expect(refusal?.rule.id == rule)
    }

    @Test("The refusal of a damaged point names the newest of which nothing bad is known, and what accepts the damage")
    func damagedPoint() throws {
        var facts = SiteFacts()
        facts.damage = Self.damage
        let refusal = try #require(
            Guards.check(.unplannedFailover, on: Sample.relationship(.protected), item: Sample.item, facts: facts))
        #expect(refusal.rule.id == "recovery-point-damaged")
        #expect(refusal.rule.sentence.contains("Point 7: its files cannot be read."))
        #expect(refusal.rule.hint.contains("point = 6") && refusal.rule.hint.contains("accept_damage"))
        facts.damage?.whole = nil
        let none = try #require(
            Guards.check(.unplannedFailover, on: Sample.relationship(.protected), item: Sample.item, facts: facts))
        #expect(none.rule.hint.contains("verify") && none.rule.hint.contains("accept_damage"))
    }

    @Test("The verdicts say for every operation whether it comes next, and if not, why")
    func verdicts() {
        let relationship = Sample.relationship(.failedOver)
        let verdicts = Guards.verdicts(for: relationship, item: Sample.item, facts: SiteFacts(sourceIntact: true))
        #expect(verdicts.map(\.operation) == Operation.allCases)
        #expect(verdicts.filter { $0.refusal == nil }.map(\.operation) == [.verifyPoint, .changePoint, .undo, .commit])
        #expect(verdicts.first { $0.operation == .reverse }?.refusal?.rule == RuleBook.commitBeforeReverse)
    }
}
