/// The age of the newest recovery point against the copy frequency: told of at twice and at three times of it.
///
/// Raised once, and cleared when the age is back.
package enum AgeAlert: String, Codable, Hashable, Sendable, CaseIterable {
    case warning, critical

    /// Above how many times the copy frequency.
    package var factor: Double { self == .warning ? 2 : 3 }

    /// The alert that holds at an age; nil up to twice the copy frequency.
    package static func of(age: Double, frequency: Double) -> AgeAlert? {
        guard frequency > 0 else { return nil }
        return [AgeAlert.critical, .warning].first { age > $0.factor * frequency }
    }

    package var severity: Event.Severity { self == .warning ? .warning : .critical }
}
