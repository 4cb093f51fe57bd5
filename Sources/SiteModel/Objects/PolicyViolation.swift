/// A field of a policy that holds a value outside what is allowed (reference, table 1.10).
package struct PolicyViolation: Error, Hashable, Sendable, CustomStringConvertible {
    /// Name of the field, as scripts write it ("copy_frequency").
    package let field: String
    /// What is wrong, with the values that are allowed: one sentence.
    package let sentence: String

    package init(field: String, sentence: String) {
        self.field = field
        self.sentence = sentence
    }

    package var description: String { sentence }
}

extension Policy {
    /// Seconds between cycles that a policy may ask for.
    package static let copyFrequencies = [30, 300, 900]
    /// How many extra recovery points a policy may ask for.
    package static let recoveryPointLimits = 0...24
    /// Hours between application-consistent points that a policy may ask for.
    package static let applicationConsistentLimits = 1...12
    /// The longest name, in characters.
    package static let longestName = 128

    /// Everything that is wrong with the policy; empty when it may be used.
    package var violations: [PolicyViolation] {
        [nameViolation, frequencyViolation, pointsViolation, applicationViolation].compactMap { $0 }
    }

    private var nameViolation: PolicyViolation? {
        let printable = name.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        guard name.isEmpty || name.count > Policy.longestName || !printable else { return nil }
        return PolicyViolation(
            field: "name",
            sentence: "A policy's name has 1 to \(Policy.longestName) characters and no control characters.")
    }

    private var frequencyViolation: PolicyViolation? {
        guard !Policy.copyFrequencies.contains(copyFrequencySeconds) else { return nil }
        return PolicyViolation(
            field: "copy_frequency",
            sentence:
                "The copy frequency is \(copyFrequencySeconds) s; allowed are 30 s, 300 s (5min) and 900 s (15min).")
    }

    private var pointsViolation: PolicyViolation? {
        guard !Policy.recoveryPointLimits.contains(recoveryPoints) else { return nil }
        return PolicyViolation(
            field: "recovery_points",
            sentence: "The number of recovery points is \(recoveryPoints); allowed are 0 (only the latest) to 24.")
    }

    /// Off, or 1 to 12 hours; it needs more extra points than hours, or every such point would be gone before the next.
    private var applicationViolation: PolicyViolation? {
        guard let hours = applicationConsistentHours else { return nil }
        let field = "application_consistent"
        if !Policy.applicationConsistentLimits.contains(hours) {
            return PolicyViolation(
                field: field,
                sentence: "The application-consistent frequency is \(hours) h; allowed are 1 h to 12 h, or none.")
        }
        if recoveryPoints == 0 {
            return PolicyViolation(
                field: field,
                sentence:
                    "Application-consistent points need recovery_points above 0; it is 0. Raise it above \(hours).")
        }
        if hours >= recoveryPoints {
            return PolicyViolation(
                field: field,
                sentence: "The application-consistent frequency is \(hours) h; it must be less than the number of "
                    + "recovery points, which is \(recoveryPoints).")
        }
        return nil
    }
}
