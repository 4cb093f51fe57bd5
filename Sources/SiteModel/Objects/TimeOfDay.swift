/// A time of day in whole minutes, local to the place where the engine runs ("18:30").
package struct TimeOfDay: Hashable, Comparable, Sendable, CustomStringConvertible {
    private static let minutesOfDay = 24 * 60

    /// Minutes since midnight, 0 to 1439.
    package let minutes: Int

    package init?(hour: Int, minute: Int) {
        guard (0...23).contains(hour), (0...59).contains(minute) else { return nil }
        minutes = hour * 60 + minute
    }

    /// Reads "18:30"; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2,
            parts.allSatisfy({ $0.count == 2 && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let hour = Int(parts[0]), let minute = Int(parts[1])
        else { return nil }
        self.init(hour: hour, minute: minute)
    }

    private init(minutes: Int) { self.minutes = minutes }

    /// The time of day at an instant, where local time is `offset` seconds ahead of UTC.
    package static func at(_ instant: Timestamp, offset: Int) -> TimeOfDay {
        let local = Int((instant.milliseconds / 60_000)) + offset / 60
        return TimeOfDay(minutes: ((local % minutesOfDay) + minutesOfDay) % minutesOfDay)
    }

    /// The first instant at or after `start` that has this time of day.
    package func next(from start: Timestamp, offset: Int) -> Timestamp {
        let day: Int64 = 86_400_000
        let shift = Int64(offset) * 1000
        let local = start.milliseconds + shift
        let midnight = local - ((local % day) + day) % day
        let today = midnight + Int64(minutes) * 60_000
        return Timestamp(milliseconds: (today >= local ? today : today + day) - shift)
    }

    package static func < (a: TimeOfDay, b: TimeOfDay) -> Bool { a.minutes < b.minutes }

    package var description: String {
        let (hour, minute) = (minutes / 60, minutes % 60)
        return (hour < 10 ? "0" : "") + "\(hour):" + (minute < 10 ? "0" : "") + "\(minute)"
    }
}

extension TimeOfDay: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let time = TimeOfDay(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(text) is no time of day"))
        }
        self = time
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A stretch of every day, which may go over midnight ("18:30-06:00"); its end is not part of it.
package struct DailyWindow: Codable, Hashable, Sendable, CustomStringConvertible {
    package var from: TimeOfDay
    package var to: TimeOfDay

    package init(from: TimeOfDay, to: TimeOfDay) {
        self.from = from
        self.to = to
    }

    /// Reads "18:30-06:00"; nil for anything else, and for a window without length.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let from = TimeOfDay(parts[0]), let to = TimeOfDay(parts[1]), from != to else {
            return nil
        }
        self.init(from: from, to: to)
    }

    package func contains(_ time: TimeOfDay) -> Bool {
        from < to ? from <= time && time < to : time >= from || time < to
    }

    package var description: String { "\(from)-\(to)" }
}
