/// Which recovery points a policy keeps: the newest, and up to `recoveryPoints` more, an hour apart.
///
/// Of each hour of the clock the first point stays, so that a point that is kept once is kept until it is too old, however
/// often this is asked. While there are fewer of those than the policy allows, the newest others fill the room: a VM that has
/// been protected for ten minutes has points to go back to, too.
///
///     09:00 ─────── 10:00 ─────── 11:00 ─────── 12:00 ── 12:07
///     ●             ●             ●             ●  · · · · ●      extra: 4
package enum Retention {
    /// Seconds from one extra point to the next.
    package static let interval: Int64 = 3600

    /// The points that stay, by number.
    ///
    /// - Parameters:
    ///   - points: of one relationship, in any order.
    ///   - extra: how many stay besides the newest; 0 or more.
    package static func kept(_ points: [RecoveryPoint], extra: Int) -> [RecoveryPoint] {
        let points = points.sorted { $0.number < $1.number }
        guard let newest = points.last else { return [] }
        var (hourly, others): ([RecoveryPoint], [RecoveryPoint]) = ([], [])
        var hours: Set<Int64> = []
        for point in points.dropLast() {
            if hours.insert(hour(of: point)).inserted { hourly.append(point) } else { others.append(point) }
        }
        let chosen = hourly.suffix(extra)
        let room = others.suffix(max(0, extra - chosen.count))
        return (chosen + room).sorted { $0.number < $1.number } + [newest]
    }

    private static func hour(of point: RecoveryPoint) -> Int64 {
        let (quotient, rest) = point.at.milliseconds.quotientAndRemainder(dividingBy: 1000 * interval)
        return rest < 0 ? quotient - 1 : quotient
    }
}
