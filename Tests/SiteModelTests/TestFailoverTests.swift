import Testing

@testable import SiteModel

@Suite("What a test may not change, and what it counts for")
struct TestFailoverTests {
    private static let before = ProductionFacts(
        owner: "a", epoch: 3, power: "running", autostart: false, images: ["vda": "/i/vda.qcow2"],
        recorded: ["a": 3, "b": 3], tracksChanges: true, points: [4, 5])

    struct Change: Sendable, CustomTestStringConvertible {
        /// A part of the one sentence that says it; nil for what is no difference.
        var expected: String?
        var make: @Sendable (inout ProductionFacts) -> Void
        var testDescription: String { expected ?? "no difference" }
    }

    static let changes: [Change] = [
        Change(expected: "the owner") { $0.owner = "b" }, Change(expected: "epoch was 3") { $0.epoch = 4 },
        Change(expected: "is off") { $0.power = "off" }, Change(expected: "autostart") { $0.autostart = true },
        Change(expected: "disk vda") { $0.images["vda"] = "/i/other" },
        Change(expected: "host b") { $0.recorded["b"] = 4 }, Change(expected: "tracks") { $0.tracksChanges = false },
        Change(expected: "ended at 5") { $0.points = [4] }, Change { $0.points = [5, 6, 7] },
        Change { $0.power = nil }, Change { $0.images = [:] }, Change { $0.recorded = ["a": 3] },
        Change { $0.tracksChanges = nil }, Change { _ in },
    ]

    @Test("What changed is said, and what was not seen is not", arguments: changes)
    func differences(change: Change) {
        var after = Self.before
        change.make(&after)
        let found = Self.before.differences(after: after)
        #expect(found.count == (change.expected == nil ? 0 : 1), "\(found)")
        if let expected = change.expected { #expect(found.first?.contains(expected) == true, "\(found)") }
    }

    @Test(
        "What was not seen is said, and when",
        arguments: [
            ("running", "running", nil), (nil, "running", "not seen before the test:"),
            ("running", nil, "not seen after the test:"), (nil, nil, "not seen before the test or after it:"),
        ] as [(String?, String?, String?)])
    func unseen(power: String?, later: String?, expected: String?) {
        var (before, after) = (Self.before, Self.before)
        (before.power, after.power) = (power, later)
        #expect(before.differences(after: after) == [])
        #expect(before.unseen(after: after).count == (expected == nil ? 0 : 1))
        if let expected { #expect(before.unseen(after: after).first?.contains(expected) == true) }
        after = Self.before
        after.recorded["a"] = nil
        #expect(
            Self.before.unseen(after: after) == ["the ownership that host a has recorded was not seen after the test"])
    }

    private static let now = Timestamp(milliseconds: 1_700_000_000_000)

    @Test(
        "The buckets of a status",
        arguments: [
            (ReplicationState.protected, nil, "recommended"), (.protected, 1.0, "passed"), (.protected, 181, "passed"),
            (.protected, 183, "recommended"), (.paused, 1, "passed"), (.testing, 1, "not-applicable"),
            (.failedOver, 1, "not-applicable"), (.failingOver, nil, "not-applicable"),
            (.firstCopy, nil, "not-applicable"),
            (.committed, nil, "not-applicable"),
        ] as [(ReplicationState, Double?, String)])
    func standing(state: ReplicationState, days: Double?, expected: String) {
        var relationship = Relationship(
            id: "r", name: "orders", vmUUID: "u", source: "a", target: "b", policy: "p", disks: [])
        relationship.state = state
        relationship.lastTestFailoverAt = days.map { Self.now.advanced(bySeconds: -$0 * 86_400) }
        #expect(relationship.testStanding(now: Self.now).word == expected)
    }

    @Test("A test lasts two weeks unless told otherwise, and hardware addresses of tests differ")
    func record() {
        let test = TestRecord(vmName: "orders-test", vmUUID: "u", generation: "g", startedAt: Self.now)
        #expect(test.endsAt.seconds(since: Self.now) == 1_209_600)
        let uuids = (0..<50).map { "00000000-0000-4000-8000-0000000000" + ($0 < 10 ? "0\($0)" : "\($0)") }
        let macs = uuids.flatMap { uuid in (0..<4).map { PlacedNIC.mac(test: uuid, index: $0) } }
        #expect(Set(macs).count == macs.count)
        #expect(macs.allSatisfy { $0.count == 17 && $0.hasPrefix("52:54:00:") })
    }
}
