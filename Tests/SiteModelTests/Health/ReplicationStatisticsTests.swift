import SiteModel
import Testing

@Suite("Statistics of replication")
struct ReplicationStatisticsTests {
    static let start = Timestamp(milliseconds: 1_800_000_000_000)
    static let window = MonitoringWindow(start: start, end: start.advanced(bySeconds: 43_200))

    private func at(_ seconds: Double) -> Timestamp { Self.start.advanced(bySeconds: seconds) }

    private func fresh() -> ReplicationStatistics {
        ReplicationStatistics(relationship: "r", window: Self.window, since: Self.start)
    }

    @Test(
        "Cycles made and missed",
        arguments: [
            ([0, 30, 60], 3, 0), ([0, 59.9], 2, 0), ([0, 60], 2, 1), ([0, 65, 95], 3, 1), ([0, 300], 2, 9),
            ([0, 10, 20, 30], 4, 0), ([5], 1, 0),
        ] as [([Double], Int, Int)])
    func cycles(instants: [Double], made: Int, missed: Int) {
        var statistics = fresh()
        for instant in instants {
            statistics.notePoint(shown: at(instant), bytes: 100, at: at(instant + 2), frequency: 30)
        }
        #expect(statistics.counts.succeeded == made && statistics.counts.missed == missed)
        #expect(statistics.counts.averageLatency == 2 && statistics.counts.averageBytes == 100)
        #expect(statistics.totals == statistics.counts)
    }

    @Test("A cycle is missed once, however often it is tried; failures are counted by cause")
    func failures() {
        var statistics = fresh()
        statistics.notePoint(shown: at(0), bytes: 1, at: at(1), frequency: 30)
        for (second, cause) in [(30.0, CycleFailure.Cause.network), (40, .network), (55, .storage)] {
            statistics.noteFailure(
                CycleFailure(cause: cause, message: "m", hint: nil, at: at(second)), frequency: 30)
        }
        #expect(statistics.failure?.attempts == 3)
        #expect(statistics.counts.missed == 1)
        statistics.notePoint(shown: at(60), bytes: 1, at: at(61), frequency: 30)
        #expect(statistics.counts.missed == 1 && statistics.counts.succeeded == 2)
        #expect(statistics.counts.networkFailures == 2 && statistics.counts.replicationFailures == 1)
        #expect(statistics.failure == nil)
        #expect(statistics.missed(by: at(60 + 59), frequency: 30) == 1)
        #expect(statistics.missed(by: at(60 + 60), frequency: 30) == 2)
        #expect(statistics.missed(by: at(60 + 300), frequency: 30) == 10)
    }

    @Test("While replication was held nothing was missed")
    func held() {
        var statistics = fresh()
        statistics.notePoint(shown: at(0), bytes: 1, at: at(1), frequency: 30)
        statistics.resumeCounting(at: at(3000))
        statistics.notePoint(shown: at(3020), bytes: 1, at: at(3021), frequency: 30)
        #expect(statistics.counts.missed == 0)
    }

    @Test("A stretch that is over is summed up, and counting begins anew; totals go on")
    func roll() throws {
        var statistics = fresh()
        statistics.notePoint(shown: at(43_000), bytes: 7, at: at(43_004), frequency: 30)
        let next = MonitoringWindow(start: Self.window.end, end: Self.window.end.advanced(bySeconds: 43_200))
        #expect(statistics.roll(to: next, at: at(43_199.999), counted: 30) == nil)
        let rolled = statistics.roll(to: next, at: at(43_200), counted: 30)
        let summary = try #require(rolled)
        #expect(summary.counts.succeeded == 1 && summary.counts.missed == 5, "200 s without a cycle, one of them due")
        #expect(statistics.window == next && statistics.counts == CycleCounts() && statistics.totals.succeeded == 1)
        #expect(statistics.missed(by: at(43_230), frequency: 30) == 1)
        #expect(
            summary.sentence
                == "1 cycles made, 5 missed, latency 4.0 s on average, 4.0 s at most, 7 bytes on average, 7 at most")
    }

    @Test("A reset forgets the stretch, and what was missed before it")
    func reset() {
        var statistics = fresh()
        statistics.notePoint(shown: at(0), bytes: 1, at: at(1), frequency: 30)
        #expect(statistics.missed(by: at(3000), frequency: 30) == 99)
        statistics.reset(at: at(3000))
        #expect(statistics.missed(by: at(3030), frequency: 30) == 0)
        #expect(statistics.counts == CycleCounts() && statistics.totals.succeeded == 1)
    }

    /// 2026-03-05T08:59:59Z and around it.
    @Test(
        "Stretches begin at 09:00 local and follow each other",
        arguments: [
            // Seconds since 09:00 local of that day, hours, offset, and the stretch's start in seconds since then.
            (0, 12, 0, 0), (-0.001, 12, 0, -43_200), (43_199, 12, 0, 0), (43_200, 12, 0, 43_200), (0, 12, 3600, 0),
            (-1, 24, -18_000, -86_400), (27_000, 1, 0, 25_200), (27_000, 8, 0, 0), (32_400, 8, 0, 28_800),
        ] as [(Double, Int, Int, Double)])
    func windows(seconds: Double, hours: Int, offset: Int, start: Double) throws {
        let nine = try #require(TimeOfDay("09:00"))
        // Midnight UTC of a day, then 09:00 local.
        let anchor = Timestamp(milliseconds: 20_517 * 86_400_000 + 9 * 3_600_000 - Int64(offset) * 1000)
        let window = MonitoringWindow.containing(
            anchor.advanced(bySeconds: seconds), hours: hours, beginning: nine, offset: offset)
        #expect(window.start == anchor.advanced(bySeconds: start))
        #expect(window.end.seconds(since: window.start) == Double(hours) * 3600)
        #expect(window.contains(anchor.advanced(bySeconds: seconds)) && !window.contains(window.end))
    }

    @Test("Every allowed length covers each instant once", arguments: Policy.monitoringLengths)
    func lengths(hours: Int) throws {
        let begin = try #require(TimeOfDay("18:30"))
        var now = Self.start
        var last: MonitoringWindow?
        for _ in 1...200 {
            let window = MonitoringWindow.containing(now, hours: hours, beginning: begin, offset: 7200)
            #expect(window.contains(now))
            if let last, last != window { #expect(window.start >= last.end) }
            last = window
            now = now.advanced(bySeconds: Double(hours) * 1200 + 0.5)
        }
    }

    @Test(
        "Lengths of time in sentences",
        arguments: [
            (0.0, "0.0 s"), (0.44, "0.4 s"), (12.6, "13 s"), (119, "119 s"), (120, "2 min"), (200, "3 min 20 s"),
            (3600, "60 min"), (7200, "2 h"), (18_600, "5 h 10 min"), (183_600, "2 d 3 h"), (.infinity, "for ever"),
        ])
    func words(seconds: Double, text: String) { #expect(Words.seconds(seconds) == text) }
}
