/// How a VM is replicated: frequency, points, compression, how the first copy is made.
///
/// Fields, defaults and limits follow the reference's table 1.10. `violations` says what is wrong with a value.
package struct Policy: SiteObject {
    package static let kind = "policy"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    /// Seconds between cycles: 30, 300 or 900.
    package var copyFrequencySeconds: Int
    /// How many recovery points are kept besides the newest, 0 to 24.
    package var recoveryPoints: Int
    /// Hours between application-consistent points, 1 to 12; nil for none.
    package var applicationConsistentHours: Int?
    package var compression: Bool
    package var firstCopy: FirstCopy

    package enum FirstCopy: String, Codable, Sendable, CaseIterable {
        case now, scheduled, offline
    }

    package init(
        id: String, name: String, copyFrequencySeconds: Int = 300, recoveryPoints: Int = 0,
        applicationConsistentHours: Int? = nil, compression: Bool = false, firstCopy: FirstCopy = .now
    ) {
        self.id = id
        self.name = name
        self.copyFrequencySeconds = copyFrequencySeconds
        self.recoveryPoints = recoveryPoints
        self.applicationConsistentHours = applicationConsistentHours
        self.compression = compression
        self.firstCopy = firstCopy
    }
}
