// A first copy in legs: each is one instant of the source, and brings over a part of what is missing.

/// A first copy at its target that is not whole yet: the base of the points to come, made in legs.
///
/// Below its frontier, each disk is as the source was at the last leg's instant; from there on it reads as zeros.
package struct GrowingBase: Codable, Hashable, Sendable {
    package var disks: [GrowingDisk]
    /// Legs that are in.
    package var legs: Int
    /// Content bytes that they have sent.
    package var bytes: UInt64
    /// The source's checkpoint since which all changes below the frontiers are known; nil when there is none.
    package var checkpoint: String?

    package init(disks: [GrowingDisk], legs: Int = 0, bytes: UInt64 = 0, checkpoint: String? = nil) {
        self.disks = disks
        self.legs = legs
        self.bytes = bytes
        self.checkpoint = checkpoint
    }

    package subscript(target: String) -> GrowingDisk? { disks.first { $0.target == target } }

    /// Whether nothing is missing: each disk is wholly as it was at the last leg's instant.
    package var isWhole: Bool { disks.allSatisfy { $0.frontier == $0.size } }
}

/// One disk of a first copy that is not whole yet.
package struct GrowingDisk: Codable, Hashable, Sendable {
    package var target: String
    package var size: UInt64
    /// All below has been received and is on stable storage.
    package var frontier: UInt64
    /// Mark of the file that the last leg read, when it was at rest; nil for the export of a running VM.
    package var mark: String?
    /// Told when a leg begins: one before it has written below the frontier and was not ended.
    ///
    /// What changed since the last leg that counts is then not all that differs, should the disk have gone back to what it was.
    package var isMixed: Bool?

    package init(target: String, size: UInt64, frontier: UInt64 = 0, mark: String? = nil) {
        self.target = target
        self.size = size
        self.frontier = frontier
        self.mark = mark
    }
}

/// When a leg ends: what is below the frontier is always sent whole, what lies beyond as far as these allow.
package struct LegLimits: Codable, Hashable, Sendable {
    /// Seconds from the leg's beginning; a quarter of them at least is for what lies beyond the frontier.
    package var seconds: Double
    /// The leg goes no further once fewer bytes are free below the sender's store, where the scratch files are.
    package var endBelow: UInt64
    /// The leg is given up once fewer are free: its backup must end before the guest's writes fail.
    package var abortBelow: UInt64

    package init(seconds: Double, endBelow: UInt64 = 0, abortBelow: UInt64 = 0) {
        self.seconds = seconds
        self.endBelow = endBelow
        self.abortBelow = abortBelow
    }
}

/// Where a leg goes on with a disk.
package struct LegStart: Codable, Hashable, Sendable {
    package var frontier: UInt64
    /// Whether a bitmap tells what changed below the frontier; otherwise both sides are compared there.
    package var isTracked: Bool
    /// The persistent bitmap of a disk at rest; nil for the one that the export carries.
    package var bitmap: String?
    /// While the file still has this mark, nothing changed below the frontier.
    package var mark: String?

    package init(frontier: UInt64, isTracked: Bool = false, bitmap: String? = nil, mark: String? = nil) {
        self.frontier = frontier
        self.isTracked = isTracked
        self.bitmap = bitmap
        self.mark = mark
    }
}

/// What came of a leg, by disk.
package struct LegSummary: Codable, Hashable, Sendable {
    package var frontiers: [String: UInt64]
    /// Marks of the files that were at rest.
    package var marks: [String: String]
    /// Content bytes sent for places that earlier legs had brought over.
    package var renewed: UInt64

    package init(frontiers: [String: UInt64], marks: [String: String] = [:], renewed: UInt64 = 0) {
        self.frontiers = frontiers
        self.marks = marks
        self.renewed = renewed
    }
}

/// Says that a leg has been sent whole: what it moved the frontiers by counts from now on.
package struct EndLeg: Codable, Hashable, Sendable {
    package var relationship: String
    package var generation: String
    package var checksums: [String: String]
    package var frontiers: [String: UInt64]
    package var marks: [String: String]
    package var bytes: UInt64
    /// The checkpoint since which changes are known from now on.
    package var checkpoint: String?

    package init(
        relationship: String, generation: String, checksums: [String: String], frontiers: [String: UInt64],
        marks: [String: String] = [:], bytes: UInt64, checkpoint: String?
    ) {
        self.relationship = relationship
        self.generation = generation
        self.checksums = checksums
        self.frontiers = frontiers
        self.marks = marks
        self.bytes = bytes
        self.checkpoint = checkpoint
    }
}
