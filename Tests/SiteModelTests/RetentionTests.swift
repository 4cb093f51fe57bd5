import SiteModel
import Testing

@Suite("Which points stay: the newest, and one of each hour")
struct RetentionTests {
    /// A store that keeps what retention says after each point.
    struct Kept {
        var extra: Int
        var points: [RecoveryPoint] = []
        var number = 0

        init(_ extra: Int) { self.extra = extra }

        mutating func add(_ seconds: Int64, _ cause: PointKind = .crashConsistent) {
            number += 1
            points.append(
                RecoveryPoint(
                    id: "g\(number)", number: number, relationship: "r", previous: nil, cause: cause,
                    at: Timestamp(milliseconds: seconds * 1000), host: "b", bytes: 1))
            points = Retention.kept(points, extra: extra)
        }

        mutating func add(every period: Int64, from: Int64, to: Int64) {
            for second in stride(from: from, to: to, by: Int64.Stride(period)) { add(second) }
        }

        /// Seconds of the instants that the points show.
        var seconds: [Int64] { points.map { $0.at.milliseconds / 1000 } }
    }

    static let hour: Int64 = 3600

    @Test("hours back, however often copies are made", arguments: [30, 300, 900] as [Int64], [0, 1, 4, 24])
    func hours(_ period: Int64, _ extra: Int) {
        var kept = Kept(extra)
        // From 09:13 on for two days.
        kept.add(every: period, from: 9 * Self.hour + 780, to: 57 * Self.hour + 780)
        let newest = 57 * Self.hour + 780 - period
        let thisHour: Int64 = newest / Self.hour
        let hourly: [Int64] = (thisHour - Int64(extra) + 1..<thisHour + 1).map { $0 * Self.hour }
        // The first copy of an hour is made within one period of its beginning.
        #expect(kept.seconds.count == extra + 1 && kept.seconds.last == newest)
        for (found, wanted) in zip(kept.seconds, hourly) { #expect((0..<period).contains(found - wanted)) }
    }

    @Test("a day's points go one by one, the oldest first, and none in between")
    func oneByOne() {
        var kept = Kept(24)
        var former: [Int64] = []
        for second in stride(from: Int64(0), to: 60 * Self.hour, by: 30) {
            kept.add(second)
            let lost = Set(former).subtracting(kept.seconds)
            #expect(lost.count <= 1)
            if second > 30 * Self.hour {
                // The former newest, or the oldest when an hour has begun.
                #expect(lost.allSatisfy { $0 == former.last || $0 == former.first })
            }
            #expect(Retention.kept(kept.points, extra: 24) == kept.points, "asked again, nothing more goes")
            former = kept.seconds
        }
    }

    @Test("in the first minutes the newest points fill the room")
    func atFirst() {
        var kept = Kept(4)
        kept.add(every: 30, from: 600, to: 900)
        #expect(kept.seconds == [600, 780, 810, 840, 870])
        kept.add(every: 30, from: 900, to: 2 * Self.hour + 60)
        #expect(kept.seconds == [600, 3600, 7200 - 30, 7200, 7230])
    }

    @Test("after days without a copy the old points go as new hours come")
    func gap() {
        var kept = Kept(3)
        kept.add(every: 300, from: 0, to: 6 * Self.hour)
        let old: [Int64] = [3, 4, 5].map { $0 * Self.hour }
        #expect(kept.seconds == old + [6 * Self.hour - 300])
        let later = 100 * Self.hour
        kept.add(later)
        #expect(kept.seconds == old + [later])
        kept.add(every: 300, from: later + 300, to: later + 2 * Self.hour + 600)
        let new: [Int64] = [0, Self.hour, 2 * Self.hour, 2 * Self.hour + 300]
        #expect(kept.seconds == new.map { later + $0 })
    }

    @Test("a clock put back by minutes repeats an hour; put back by hours it begins new ones")
    func clock() {
        var kept = Kept(4)
        kept.add(every: 300, from: 10 * Self.hour, to: 13 * Self.hour)
        // 12:55 becomes 12:15: nothing is kept twice for 12.
        kept.add(every: 300, from: 12 * Self.hour + 900, to: 14 * Self.hour)
        let before: [Int64] = [10, 11, 12, 13].map { $0 * Self.hour }
        #expect(kept.seconds == before + [14 * Self.hour - 300])
        // 13:55 becomes 09:20.
        kept.add(every: 300, from: 9 * Self.hour + 1200, to: 11 * Self.hour + 300)
        let after: [Int64] = [12 * Self.hour, 13 * Self.hour, 9 * Self.hour + 1200, 10 * Self.hour, 11 * Self.hour]
        #expect(kept.seconds == after)
        // Put right again: 11:05 becomes 15:02.
        kept.add(every: 300, from: 15 * Self.hour + 120, to: 15 * Self.hour + 600)
        let right: [Int64] = [11 * Self.hour, 15 * Self.hour + 120, 15 * Self.hour + 420]
        #expect(Array(kept.seconds.suffix(3)) == right)
    }

    @Test("of an hour the first application-consistent point stays, if it has one")
    func application() {
        var kept = Kept(2)
        kept.add(every: 900, from: 0, to: Self.hour)
        kept.add(Self.hour)
        kept.add(Self.hour + 900, .applicationConsistent)
        kept.add(Self.hour + 1800, .applicationConsistent)
        kept.add(Self.hour + 2700)
        #expect(kept.seconds == [0, Self.hour + 900, Self.hour + 2700])
        kept.add(2 * Self.hour, .planned)
        kept.add(2 * Self.hour + 900)
        kept.add(3 * Self.hour)
        #expect(kept.seconds == [Self.hour + 900, 2 * Self.hour, 3 * Self.hour])
    }

    @Test("a policy that keeps fewer points from now on, or more")
    func changed() {
        var kept = Kept(24)
        kept.add(every: 300, from: 0, to: 30 * Self.hour)
        kept.extra = 2
        kept.add(30 * Self.hour)
        let three: [Int64] = [28, 29, 30].map { $0 * Self.hour }
        #expect(kept.seconds == three)
        kept.extra = 3
        kept.add(every: 300, from: 30 * Self.hour + 300, to: 31 * Self.hour)
        #expect(kept.seconds == three + [31 * Self.hour - 300])
        kept.extra = 0
        kept.add(31 * Self.hour)
        #expect(kept.seconds == [31 * Self.hour])
        #expect(Retention.kept([], extra: 3).isEmpty)
    }
}
