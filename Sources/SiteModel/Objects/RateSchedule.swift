/// How fast a host may send, by day and time of day: rules of which the first that fits counts.
///
/// Where none fits there is no limit. Days and times are local to the host that sends.
package struct RateSchedule: Hashable, Sendable {
    package var rules: [RateRule]

    package init(_ rules: [RateRule] = []) { self.rules = rules }

    /// Bytes a second at an instant, where local time is `offset` seconds ahead of UTC; nil for no limit.
    package func rate(at instant: Timestamp, offset: Int) -> UInt64? {
        rules.first { $0.holds(at: instant, offset: offset) }?.bytesPerSecond
    }
}

/// One rule of a schedule: "20MiB", "08:00-18:00 20MiB", "mon-fri 18:00-08:00 unlimited".
package struct RateRule: Hashable, Sendable, CustomStringConvertible {
    /// The least rate: a piece of content then takes some seconds to leave, and the receiver still knows that we live.
    package static let least: UInt64 = 256 << 10
    private static let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    private static let units: [(name: String, bytes: UInt64)] = [
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000),
    ]

    /// Days on which the window begins, Monday 0 to Sunday 6, both part of it; may go over the week's end.
    ///
    /// Nil for all.
    package let days: (first: Int, last: Int)?
    /// Nil for the whole day.
    ///
    /// One that goes over midnight belongs to the day on which it begins.
    package let window: DailyWindow?
    /// Nil for no limit.
    package let bytesPerSecond: UInt64?
    package let description: String

    /// Reads a rule; the error says what is wrong with it.
    package init(_ text: String) throws(RateRuleFault) {
        var words = text.split(separator: " ").map(String.init)
        guard let last = words.popLast(), words.count <= 2 else { throw RateRuleFault(text, "it has no rate") }
        bytesPerSecond = try Self.rate(last, in: text)
        days = try words.first.flatMap { word throws(RateRuleFault) in try Self.days(word, in: text) }
        if days != nil { words.removeFirst() }
        if let word = words.first {
            guard words.count == 1, let window = DailyWindow(word) else {
                throw RateRuleFault(text, "'\(word)' is no time of day such as 08:00-18:00, nor days such as mon-fri")
            }
            self.window = window
        } else {
            window = nil
        }
        description = text
    }

    package static func == (a: RateRule, b: RateRule) -> Bool { a.description == b.description }
    package func hash(into hasher: inout Hasher) { hasher.combine(description) }

    func holds(at instant: Timestamp, offset: Int) -> Bool {
        let time = TimeOfDay.at(instant, offset: offset)
        if let window, !window.contains(time) { return false }
        guard let days else { return true }
        // 1970-01-01 was a Thursday.
        let day: Int64 = 86_400_000
        let local = instant.milliseconds + Int64(offset) * 1000
        var count = (local - ((local % day) + day) % day) / day
        if let window, window.from > window.to, time < window.to { count -= 1 }
        let weekday = Int(((count + 3) % 7 + 7) % 7)
        return days.first <= days.last
            ? days.first <= weekday && weekday <= days.last : weekday >= days.first || weekday <= days.last
    }

    private static func rate(_ word: String, in text: String) throws(RateRuleFault) -> UInt64? {
        if word == "unlimited" { return nil }
        guard let unit = units.first(where: { word.hasSuffix($0.name) }),
            let number = UInt64(word.dropLast(unit.name.count)), number <= UInt64(1 << 40) / unit.bytes
        else {
            throw RateRuleFault(text, "'\(word)' is no rate: write bytes a second such as 20MiB, or unlimited")
        }
        let bytes = number * unit.bytes
        guard bytes >= least else {
            throw RateRuleFault(
                text,
                bytes == 0
                    ? "a rate of 0 would leave transfers open for ever; pause replication instead (perilune pause)"
                    : "the least rate is \(least >> 10)KiB a second")
        }
        return bytes
    }

    /// Nil when the word speaks of no day.
    private static func days(_ word: String, in text: String) throws(RateRuleFault) -> (first: Int, last: Int)? {
        guard word.utf8.first.map({ $0 > UInt8(ascii: "9") }) == true else { return nil }
        let ends = word.split(separator: "-", omittingEmptySubsequences: false).map { names.firstIndex(of: String($0)) }
        guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil else {
            throw RateRuleFault(text, "'\(word)' is no day: write mon, or mon-fri (\(names.joined(separator: ", ")))")
        }
        return (first, last)
    }
}

/// What is wrong with a rule of a schedule.
package struct RateRuleFault: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ rule: String, _ what: String) { description = "rate '\(rule)': \(what)" }
}
