/// How a guest is kept from writing while an instant of it is taken.
package enum GuestHold: String, Codable, Hashable, Sendable {
    /// Its agent has frozen its file systems, so that what they hold is in order.
    case frozen
    /// Its CPUs stand still: nothing is written, and nothing is put in order either.
    case paused
}

/// A guest that is held, or may be: written down before it is, so that whoever finds it lets the guest go.
package struct HeldGuest: Codable, Hashable, Sendable {
    package var host: String
    package var hold: GuestHold
    package var since: Timestamp

    package init(host: String, hold: GuestHold, since: Timestamp) {
        self.host = host
        self.hold = hold
        self.since = since
    }
}

/// What the guest's software can expect of a recovery point.
package enum PointConsistency: String, Codable, Hashable, Sendable, CaseIterable {
    /// The guest's agent had frozen its file systems: nothing is to be repaired.
    case application
    /// As after a loss of power: file systems and databases repair themselves from their journals.
    case crash
}

extension RecoveryPoint {
    package var consistency: PointConsistency { cause == .applicationConsistent ? .application : .crash }
}
