/// Which recovery points a policy keeps: the newest, and up to `recoveryPoints` more, an hour apart.
///
/// Of each hour of the clock the first point stays, or the first application-consistent one where there is one. So a point that
/// is kept once is kept until it is too old, however often this is asked, and how often copies are made makes no difference to
/// how far back one can go. While there are fewer of those than the policy allows, the newest others fill the room: a VM that
/// has been protected for ten minutes has points to go back to, too.
///
///     09:00 ─────── 10:00 ─────── 11:00 ─────── 12:00 ── 12:07
///     ●             ●             ●             ●  · · · · ●      extra: 4
///
/// Where all of these are known to be damaged, the newest point of which nothing bad is known stays besides.
///
/// Points are counted, not aged: after days without a copy the old ones go one by one as new hours bring new ones, since the
/// newest alone may hold what one wants to go back from.
package enum Retention {
    /// Seconds from one extra point to the next.
    package static let interval: Int64 = 3600

    /// The points that stay, oldest first.
    ///
    /// - Parameters:
    ///   - points: of one relationship, in any order.
    ///   - extra: how many stay besides the newest; 0 or more.
    package static func kept(_ points: [RecoveryPoint], extra: Int) -> [RecoveryPoint] {
        let points = points.sorted { $0.number < $1.number }
        guard let newest = points.last else { return [] }
        let chosen = hours(points.dropLast()).compactMap(choice).suffix(max(0, extra))
        let ids = Set(chosen.map(\.id))
        let others = points.dropLast().filter { !ids.contains($0.id) }
        let room = others.suffix(max(0, extra - chosen.count))
        var kept = chosen + room
        // The last good copy stays, whatever else does.
        if (kept + [newest]).allSatisfy({ $0.damage != nil }), let whole = points.last(where: { $0.damage == nil }) {
            kept.append(whole)
        }
        return kept.sorted { $0.number < $1.number } + [newest]
    }

    /// The points of each hour, both oldest first.
    private static func hours(_ points: some Sequence<RecoveryPoint>) -> [[RecoveryPoint]] {
        var hours: [[RecoveryPoint]] = []
        for point in points {
            if let first = hours.last?.first, !begins(point, after: first) {
                hours[hours.count - 1].append(point)
            } else {
                hours.append([point])
            }
        }
        return hours
    }

    /// Whether a point is of another hour than the one with this first point.
    ///
    /// A clock that was put back by minutes repeats a part of the hour; put back by an hour or more, it begins a new one, for
    /// otherwise no point would be kept until it has caught up.
    private static func begins(_ point: RecoveryPoint, after first: RecoveryPoint) -> Bool {
        hour(of: point) > hour(of: first) || point.at.milliseconds <= first.at.milliseconds - 1000 * interval
    }

    private static func choice(of hour: [RecoveryPoint]) -> RecoveryPoint? {
        hour.first { $0.cause == .applicationConsistent } ?? hour.first
    }

    private static func hour(of point: RecoveryPoint) -> Int64 {
        let (quotient, rest) = point.at.milliseconds.quotientAndRemainder(dividingBy: 1000 * interval)
        return rest < 0 ? quotient - 1 : quotient
    }
}
