import Testing

@testable import SiteModel

@Suite("How fast a host may send, by day and time")
struct RateScheduleTests {
    /// 2026-11-23, a Monday, 00:00 UTC.
    static let monday: Int64 = 1_795_392_000_000

    private func rate(_ rules: [String], day: Int64, _ time: String, offset: Int = 0) throws -> UInt64? {
        let minutes = try #require(TimeOfDay(time)).minutes
        let instant = Timestamp(milliseconds: Self.monday + day * 86_400_000 + Int64(minutes) * 60_000)
        return try RateSchedule(rules.map { try RateRule($0) }).rate(at: instant, offset: offset)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var rules: [String]
        var day: Int64
        var time: String
        var mebibytes: UInt64?
        var offset = 0
        var testDescription: String { "\(rules) on day \(day) at \(time) + \(offset / 3600) h" }
    }

    static let office = ["mon-fri 08:00-18:00 20MiB", "sat-sun unlimited", "50MiB"]
    static let cases = [
        Case(rules: [], day: 0, time: "12:00", mebibytes: nil),
        Case(rules: ["5MiB"], day: 3, time: "03:00", mebibytes: 5),
        Case(rules: office, day: 0, time: "07:59", mebibytes: 50),
        Case(rules: office, day: 0, time: "08:00", mebibytes: 20),
        Case(rules: office, day: 4, time: "17:59", mebibytes: 20),
        Case(rules: office, day: 4, time: "18:00", mebibytes: 50),
        Case(rules: office, day: 5, time: "12:00", mebibytes: nil),
        Case(rules: office, day: 6, time: "23:59", mebibytes: nil),
        Case(rules: office, day: 7, time: "12:00", mebibytes: 20),
        Case(rules: office, day: 0, time: "07:30", mebibytes: 20, offset: 3600),
        Case(rules: office, day: 4, time: "23:30", mebibytes: nil, offset: 3600),
        // The night that begins on Friday goes on into Saturday; Monday's first hours are Sunday's night.
        Case(rules: ["mon-fri 18:00-08:00 9MiB"], day: 5, time: "07:00", mebibytes: 9),
        Case(rules: ["mon-fri 18:00-08:00 9MiB"], day: 0, time: "07:00", mebibytes: nil),
        Case(rules: ["mon-fri 18:00-08:00 9MiB"], day: 5, time: "18:00", mebibytes: nil),
        Case(rules: ["fri-mon 9MiB"], day: 6, time: "10:00", mebibytes: 9),
        Case(rules: ["fri-mon 9MiB"], day: 1, time: "10:00", mebibytes: nil),
        Case(rules: ["wed 9MiB", "1GiB"], day: 2, time: "10:00", mebibytes: 9),
        Case(rules: ["wed 9MiB", "1GiB"], day: 3, time: "10:00", mebibytes: 1024),
        Case(rules: ["thu 9MiB"], day: -20_780 + 3, time: "10:00", mebibytes: nil),
    ]

    @Test("The first rule that fits counts, in local time", arguments: cases)
    func rates(_ test: Case) throws {
        #expect(
            try rate(test.rules, day: test.day, test.time, offset: test.offset) == test.mebibytes.map { $0 << 20 })
    }

    @Test(
        "What is no rule is refused with what is wrong",
        arguments: [
            ("", "no rate"), ("fast", "bytes a second"), ("20", "bytes a second"), ("20 MiB", "bytes a second"),
            ("-5MiB", "bytes a second"), ("20MiBs", "bytes a second"), ("0MiB", "perilune pause"),
            ("0KiB", "perilune pause"), ("99KiB", "least rate"), ("99999999999999999999GiB", "bytes a second"),
            ("8:00-18:00 20MiB", "no time of day"), ("08:00-08:00 20MiB", "no time of day"),
            ("monday 20MiB", "no day"), ("mon-fri-sun 20MiB", "no day"), ("mon-xyz 20MiB", "no day"),
            ("08:00-18:00 mon 20MiB", "no time of day"), ("mon 08:00-18:00 extra 20MiB", "no rate"),
        ])
    func refused(text: String, words: String) {
        let fault = #expect(throws: RateRuleFault.self) { try RateRule(text) }
        #expect(fault?.description.contains(words) == true, "\(fault as Any)")
        #expect(fault?.description.contains("'\(text)'") == true)
    }
}
