// Sending a point from its source.

package import SiteModel

package struct SendPoint: Codable, Hashable, Sendable {
    package var ticket: PointTicket
    package var disks: [SourceDisk]
    /// When the leg ends; nil when no disk is sent as a leg.
    package var limits: LegLimits?
    /// False when content is to travel as it is; else the agent compresses where that is quicker.
    package var compresses: Bool?

    package init(ticket: PointTicket, disks: [SourceDisk], limits: LegLimits? = nil, compresses: Bool? = nil) {
        self.ticket = ticket
        self.disks = disks
        self.limits = limits
        self.compresses = compresses
    }
}

/// A disk to read: where from, and which of its extents travel.
package struct SourceDisk: Codable, Hashable, Sendable {
    package var target: String
    package var size: UInt64
    package var from: Origin
    package var extents: Selection
    /// Where a leg of a first copy goes on; an agent that is older than legs sends `extents` instead.
    package var leg: LegStart?

    package enum Origin: Codable, Hashable, Sendable {
        /// The pull backup of a running VM: the export of that name on a local Unix socket.
        case export(socket: String, name: String)
        /// A file that no process has open for writing.
        case image(DiskImage)
    }

    package enum Selection: Codable, Hashable, Sendable {
        /// All that is allocated: a first copy.
        case everything
        /// What a dirty bitmap says, united with `also`. For an export the context is
        /// `qemu:dirty-bitmap:backup-<target>` when
        /// `bitmap` is nil. A missing bitmap is an error (`noUsableBitmap`), never an empty set.
        case changed(bitmap: String?, also: [ByteRange])
        /// What differs from the newest state at the target, found by keyed hashes on both sides.
        case differing
    }

    package init(target: String, size: UInt64, from: Origin, extents: Selection, leg: LegStart? = nil) {
        self.target = target
        self.size = size
        self.from = from
        self.extents = extents
        self.leg = leg
    }
}

/// What one transfer moved.
package struct TransferSummary: Codable, Hashable, Sendable {
    /// Bytes of disk content sent (before any framing); zero runs are not counted.
    package var bytes: UInt64
    /// Bytes of disk that were looked at (hashed or read).
    package var scanned: UInt64
    package var seconds: Double
    /// XXH3-128 over the frames of each disk in order of sending, checked by the receiver.
    package var checksums: [String: String]
    /// How far a leg came; nil when all was sent.
    package var leg: LegSummary?
    /// Bytes of disk that differed from the target's newest state, runs of zeros included, of the disks that were compared as a
    /// whole; nil from an older agent.
    package var differing: UInt64?
    /// Marks of the files that were read at rest: the same while nothing writes them.
    package var marks: [String: String]?

    package init(
        bytes: UInt64, scanned: UInt64, seconds: Double, checksums: [String: String], leg: LegSummary? = nil,
        differing: UInt64? = nil, marks: [String: String]? = nil
    ) {
        self.differing = differing
        self.marks = marks
        self.bytes = bytes
        self.scanned = scanned
        self.seconds = seconds
        self.checksums = checksums
        self.leg = leg
    }
}
