// Making a recovery point at its target: open, receive, seal.

package import SiteModel

package struct OpenPoint: Codable, Hashable, Sendable {
    package var relationship: String
    package var vm: VMIdentity
    package var generation: String
    /// Generation that it is built on: the newest point here.
    ///
    /// Nil: a first copy, or the first point on adopted disks.
    package var previous: String?
    package var disks: [DiskGeometry]
    /// Asks for a first copy in legs: what earlier ones brought over is kept, and the ticket says how far they came.
    ///
    /// Nil for any other point. An agent that is older than legs answers with a ticket for the whole copy.
    package var inLegs: Bool?

    package init(
        relationship: String, vm: VMIdentity, generation: String, previous: String?, disks: [DiskGeometry],
        inLegs: Bool? = nil
    ) {
        self.relationship = relationship
        self.vm = vm
        self.generation = generation
        self.previous = previous
        self.disks = disks
        self.inLegs = inLegs
    }
}

package struct DiskGeometry: Codable, Hashable, Sendable {
    package var target: String
    package var size: UInt64

    package init(target: String, size: UInt64) {
        self.target = target
        self.size = size
    }
}

/// Leave to send one point: shown by the sender on its data connections, good for one transfer.
package struct PointTicket: Codable, Hashable, Sendable {
    package var relationship: String
    package var generation: String
    /// 32 random bytes in hexadecimal.
    ///
    /// Never logged.
    package var token: String
    /// `host:port` of the receiver.
    package var address: String
    /// The base that this leg goes on with; nil when the ticket is for a whole point.
    package var base: GrowingBase?
    /// The disks that the point is built on, of the size that they have there: what is not among them travels whole.
    ///
    /// Empty for a first copy; nil from an agent that is older than changes of shape, which takes no other disks than before.
    package var held: [DiskGeometry]?
    /// Whether the receiver takes data with TLS alone, showing a certificate for the host of `address`.
    ///
    /// Nil from one that knows no TLS.
    package var isEncrypted: Bool?

    package init(
        relationship: String, generation: String, token: String, address: String, base: GrowingBase? = nil,
        isEncrypted: Bool? = nil
    ) {
        self.relationship = relationship
        self.generation = generation
        self.token = token
        self.address = address
        self.base = base
        self.isEncrypted = isEncrypted
    }
}

package struct SealPoint: Codable, Hashable, Sendable {
    package var relationship: String
    package var generation: String
    /// The least number that the point may get: one above all that the caller knows of the relationship.
    package var number: Int
    package var cause: PointKind
    package var at: Timestamp
    package var epoch: Int
    package var owner: String
    package var domainXML: String
    package var checksums: [String: String]
    /// What the vault knows of the VM's replication, to be kept beside the points; nil leaves what is kept.
    ///
    /// At most 1 MiB; the agent does not read it.
    package var context: String?
    /// What the VM keeps outside its disks; nil for one that keeps nothing there.
    package var firmware: FirmwareState?
    /// The point at the target whose firmware state this one has too, being of the same instant; nil for one that brings its own.
    package var firmwareOf: String?

    package init(
        relationship: String, generation: String, number: Int, cause: PointKind, at: Timestamp, epoch: Int,
        owner: String, domainXML: String, checksums: [String: String], context: String? = nil
    ) {
        self.relationship = relationship
        self.generation = generation
        self.number = number
        self.cause = cause
        self.at = at
        self.epoch = epoch
        self.owner = owner
        self.domainXML = domainXML
        self.checksums = checksums
        self.context = context
    }
}

/// A point that is whole at a host.
package struct PointSummary: Codable, Hashable, Sendable {
    package var generation: String
    package var previous: String?
    /// The number that the point got: at least the one asked for, and never one used before.
    package var number: Int
    package var cause: PointKind
    package var at: Timestamp
    package var bytes: UInt64
    /// What is known to be wrong with it; nil when nothing is.
    package var damage: PointDamage?
    /// When all of it was last read at its host and was as it had been written.
    package var checkedAt: Timestamp?

    package init(
        generation: String, previous: String?, number: Int, cause: PointKind, at: Timestamp, bytes: UInt64,
        damage: PointDamage? = nil, checkedAt: Timestamp? = nil
    ) {
        self.damage = damage
        self.checkedAt = checkedAt
        self.generation = generation
        self.previous = previous
        self.number = number
        self.cause = cause
        self.at = at
        self.bytes = bytes
    }
}
