// Looking whether points are what they must be, and at what a former owner's disks hold besides.

package import SiteModel

/// Asks a target to read points and to compare them with the checksums that were kept when they were written.
package struct CheckPoints: Codable, Hashable, Sendable {
    package var relationship: String
    /// Generations of the points; nil for all.
    package var generations: [String]?
    /// A comparison with the source has made this point, of what differed in the one that it stands on: that one is damaged
    /// there, and is looked at there alone.
    package var replacedBy: String?

    package init(relationship: String, generations: [String]? = nil, replacedBy: String? = nil) {
        self.relationship = relationship
        self.generations = generations
        self.replacedBy = replacedBy
    }
}

/// What came of reading points.
package struct CheckedPoints: Codable, Hashable, Sendable {
    /// All points of the store, oldest first, with what is known of each now.
    package var points: [PointSummary]
    /// Bytes that were read.
    package var bytes: UInt64
    /// By generation: bytes for which nothing tells what was written.
    package var unrecorded: [String: UInt64]
    package var seconds: Double

    package init(points: [PointSummary], bytes: UInt64, unrecorded: [String: UInt64], seconds: Double) {
        self.points = points
        self.bytes = bytes
        self.unrecorded = unrecorded
        self.seconds = seconds
    }
}

/// What to do about the blocks that a former owner's disks hold besides.
package struct DivergenceRequest: Codable, Hashable, Sendable {
    package enum Action: Codable, Hashable, Sendable {
        /// Record them; nil where it is not known which they are. Recorded once for an epoch.
        case note(epoch: Int, at: Timestamp, ranges: [String: [ByteRange]]?)
        /// List them.
        case list
        /// Write them to a new folder at the host: a raw sparse file for each disk.
        case export(folder: String)
        /// Forget them; the disks are not changed.
        case discard
    }

    package var relationship: String
    package var action: Action

    package init(relationship: String, action: Action) {
        self.relationship = relationship
        self.action = action
    }
}

/// The blocks of a former owner's disks that the VM went on without.
package struct Divergence: Codable, Hashable, Sendable {
    /// When the sides parted.
    package var at: Timestamp
    /// False where the list covers more than diverged: all that the first reversed points have replaced.
    package var isExact: Bool
    package var disks: [DivergedDisk]

    package init(at: Timestamp, isExact: Bool, disks: [DivergedDisk]) {
        self.at = at
        self.isExact = isExact
        self.disks = disks
    }
}

/// One disk of a divergence.
package struct DivergedDisk: Codable, Hashable, Sendable {
    package var target: String
    /// The former owner's disk, which holds the blocks; it is not to be written.
    package var image: DiskImage
    package var bytes: UInt64
    /// At most 1000; `count` says how many there are.
    package var ranges: [ByteRange]
    package var count: Int
    /// The file that they were written to; nil when they were only listed.
    package var exported: String?

    package init(
        target: String, image: DiskImage, bytes: UInt64, ranges: [ByteRange], count: Int, exported: String? = nil
    ) {
        self.target = target
        self.image = image
        self.bytes = bytes
        self.ranges = ranges
        self.count = count
        self.exported = exported
    }
}
