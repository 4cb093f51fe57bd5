// What a policy may say (reference, table 1.10 and 7.2).

extension Policy {
    /// Seconds between cycles that a policy may ask for.
    package static let copyFrequencies = [30, 300, 900]
    /// How many extra recovery points a policy may ask for.
    package static let recoveryPointLimits = 0...24
    /// Hours between application-consistent points that a policy may ask for.
    package static let applicationConsistentLimits = 1...12
    package static let portLimits = 1...65_535
    /// Hours that a stretch of statistics may last: 1 to 24 hours that divide a day, and 2 to 7 days.
    package static let monitoringLengths = [1, 2, 3, 4, 6, 8, 12, 24] + (2...7).map { $0 * 24 }
    package static let defaultMonitoringHours = 12
    package static var defaultMonitoringStart: TimeOfDay { clock(9, 0) }
    /// Off-peak: 18:30 to 06:00.
    package static var defaultResyncWindow: DailyWindow { DailyWindow(from: clock(18, 30), to: clock(6, 0)) }

    private static func clock(_ hour: Int, _ minute: Int) -> TimeOfDay {
        guard let time = TimeOfDay(hour: hour, minute: minute) else { fatalError("\(hour):\(minute) is no time") }
        return time
    }
}

extension Policy: Checkable {
    /// Everything that is wrong with the policy; empty when it may be used.
    package var violations: [PolicyViolation] {
        [
            nameViolation, frequencyViolation, pointsViolation, applicationViolation, portViolation, scheduleViolation,
            pathViolation("export_path", exportPath), pathViolation("import_path", importPath), windowViolation,
            monitoringViolation,
        ].compactMap { $0 }
    }

    private var nameViolation: PolicyViolation? {
        FieldCheck.name(name).map {
            PolicyViolation(
                field: $0.field, given: $0.given, allowed: $0.allowed, sentence: "A policy's name has \($0.allowed).")
        }
    }

    private var frequencyViolation: PolicyViolation? {
        guard !Policy.copyFrequencies.contains(copyFrequencySeconds) else { return nil }
        return PolicyViolation(
            field: "copy_frequency", given: "\(copyFrequencySeconds) s", allowed: "30 s, 300 s or 900 s",
            sentence:
                "The copy frequency is \(copyFrequencySeconds) s; allowed are 30 s, 300 s (5min) and 900 s (15min).")
    }

    private var pointsViolation: PolicyViolation? {
        guard !Policy.recoveryPointLimits.contains(recoveryPoints) else { return nil }
        return PolicyViolation(
            field: "recovery_points", given: "\(recoveryPoints)", allowed: "0 to 24",
            sentence: "The number of recovery points is \(recoveryPoints); allowed are 0 (only the latest) to 24.")
    }

    /// Off, or 1 to 12 hours; it needs more extra points than hours, or every such point would be gone before the next.
    private var applicationViolation: PolicyViolation? {
        guard let hours = applicationConsistentHours else { return nil }
        func violation(_ allowed: String, _ sentence: String) -> PolicyViolation {
            PolicyViolation(
                field: "app_consistent", given: "\(hours) h", allowed: allowed, sentence: sentence)
        }
        if !Policy.applicationConsistentLimits.contains(hours) {
            return violation(
                "1 h to 12 h, or none",
                "The application-consistent frequency is \(hours) h; allowed are 1 h to 12 h, or none.")
        }
        if recoveryPoints == 0 {
            return violation(
                "none while recovery_points is 0",
                "Application-consistent points need recovery_points above 0; it is 0. Raise it above \(hours).")
        }
        if hours >= recoveryPoints {
            return violation(
                "less than \(recoveryPoints) h",
                "The application-consistent frequency is \(hours) h; it must be less than the number of "
                    + "recovery points, which is \(recoveryPoints).")
        }
        return nil
    }

    private var portViolation: PolicyViolation? {
        guard let port, !Policy.portLimits.contains(port) else { return nil }
        return PolicyViolation("port", given: "\(port)", allowed: "1 to 65535, or none for each host's own")
    }

    private var scheduleViolation: PolicyViolation? {
        guard firstCopy == .scheduled, firstCopyTime == nil else { return nil }
        return PolicyViolation(
            "first_copy_time", given: "",
            allowed: "a time of day such as \"22:00\", because first_copy is \"scheduled\"")
    }

    private func pathViolation(_ field: String, _ path: String?) -> PolicyViolation? {
        if let path { return FieldCheck.path(path, field) }
        guard firstCopy == .offline else { return nil }
        return PolicyViolation(field, given: "", allowed: "an absolute path, because first_copy is \"offline\"")
    }

    private var windowViolation: PolicyViolation? {
        guard resyncWindow.from == resyncWindow.to else { return nil }
        return PolicyViolation(
            "resync_window", given: "\(resyncWindow)", allowed: "two different times of day such as \"18:30-06:00\"")
    }

    private var monitoringViolation: PolicyViolation? {
        guard !Policy.monitoringLengths.contains(monitoringHours) else { return nil }
        return PolicyViolation(
            "monitoring_interval", given: "\(monitoringHours) h",
            allowed: "1, 2, 3, 4, 6, 8, 12 or 24 hours, or 2 to 7 days")
    }
}
