package import SiteModel

/// Instants as text that no locale and no time zone changes.
package enum Instants {
    /// "2026-03-05T09:00:00Z".
    package static func utc(_ instant: Timestamp) -> String {
        let day: Int64 = 86_400
        let seconds = (instant.milliseconds >= 0 ? instant.milliseconds : instant.milliseconds - 999) / 1000
        let days = seconds >= 0 ? seconds / day : (seconds - day + 1) / day
        let (year, month, date) = civil(days)
        let clock = seconds - days * day
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(date, 2))"
            + "T\(padded(clock / 3600, 2)):\(padded(clock % 3600 / 60, 2)):\(padded(clock % 60, 2))Z"
    }

    /// "Thu, 05 Mar 2026 09:00:00 +0000", as RFC 5322 wants it.
    package static func mail(_ instant: Timestamp) -> String {
        let seconds = instant.milliseconds / 1000
        let days = seconds / 86_400
        let (year, month, date) = civil(days)
        let clock = seconds % 86_400
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        return "\(weekdays[Int(((days % 7) + 7) % 7)]), \(padded(date, 2)) \(names[Int(month - 1)]) \(padded(year, 4)) "
            + "\(padded(clock / 3600, 2)):\(padded(clock % 3600 / 60, 2)):\(padded(clock % 60, 2)) +0000"
    }

    /// The date of a day counted from 1 January 1970, in the Gregorian calendar; years are counted from 1 March.
    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
