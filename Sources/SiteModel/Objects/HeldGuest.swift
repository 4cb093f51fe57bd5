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
    /// The latest way in which it is held.
    package var hold: GuestHold
    /// An earlier way from which it is not known to have been let go; nil when there is none.
    package var before: GuestHold?
    package var since: Timestamp

    package init(host: String, hold: GuestHold, since: Timestamp) {
        self.host = host
        self.hold = hold
        self.since = since
    }

    /// All the ways in which it may be held.
    package var holds: [GuestHold] { [hold] + (before.map { [$0] } ?? []) }
}

extension Relationship {
    /// Notes that the guest is about to be held, besides in the way in which it may be held already.
    package mutating func noteHold(_ hold: GuestHold, at host: String, now: Timestamp) {
        let earlier = heldGuest.flatMap { $0.host == host ? $0.holds.first { $0 != hold } : nil }
        heldGuest = HeldGuest(host: host, hold: hold, since: now)
        heldGuest?.before = earlier
    }

    /// Notes that the guest is known to have been let go from this way of holding it.
    package mutating func noteLetGo(from hold: GuestHold) {
        guard var held = heldGuest else { return }
        if held.before == hold { held.before = nil }
        guard held.hold == hold else { return heldGuest = held }
        guard let before = held.before else { return heldGuest = nil }
        held.hold = before
        held.before = nil
        heldGuest = held
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
