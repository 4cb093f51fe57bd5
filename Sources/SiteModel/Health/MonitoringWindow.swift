/// A stretch of time that statistics are gathered for (reference 7.2).
///
/// Stretches follow each other without a gap. The first of a day begins at the policy's time of day; those of several days
/// are counted from 1 January 1970, so that all engines agree on them.
package struct MonitoringWindow: Codable, Hashable, Sendable {
    package var start: Timestamp
    /// Not part of it.
    package var end: Timestamp

    package init(start: Timestamp, end: Timestamp) {
        self.start = start
        self.end = end
    }

    /// The stretch that an instant lies in.
    ///
    /// - Parameters:
    ///   - hours: one of `Policy.monitoringLengths`.
    ///   - beginning: when the first stretch of a day begins.
    ///   - offset: seconds that local time is ahead of UTC.
    package static func containing(
        _ now: Timestamp, hours: Int, beginning: TimeOfDay, offset: Int
    ) -> MonitoringWindow {
        let length = Int64(max(1, hours)) * 3_600_000
        // The grid's origin, in UTC: the time of day on the first day that there is.
        let origin = Int64(beginning.minutes) * 60_000 - Int64(offset) * 1000
        let passed = now.milliseconds - origin
        let index = passed >= 0 ? passed / length : (passed - length + 1) / length
        let start = origin + index * length
        return MonitoringWindow(
            start: Timestamp(milliseconds: start), end: Timestamp(milliseconds: start + length))
    }

    package static func containing(_ now: Timestamp, policy: Policy?, offset: Int) -> MonitoringWindow {
        containing(
            now, hours: policy?.monitoringHours ?? Policy.defaultMonitoringHours,
            beginning: policy?.monitoringStart ?? Policy.defaultMonitoringStart, offset: offset)
    }

    package func contains(_ instant: Timestamp) -> Bool { start <= instant && instant < end }
}
