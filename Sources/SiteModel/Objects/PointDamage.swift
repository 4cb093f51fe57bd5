/// What is known to be wrong with a recovery point: found by reading it, or by comparing it with its source.
package struct PointDamage: Codable, Hashable, Sendable {
    package enum Cause: String, Codable, Hashable, Sendable {
        /// Its files do not hold what was written to them.
        case altered
        /// Its files cannot be read.
        case unreadable
        /// It is not what the source held at its instant.
        case differs
    }

    package var cause: Cause
    /// When it was found.
    package var at: Timestamp
    /// Empty when it is the VM's definition that is damaged, or its UEFI variables and TPM state.
    package var disks: [DamagedDisk]

    package init(cause: Cause, at: Timestamp, disks: [DamagedDisk]) {
        self.cause = cause
        self.at = at
        self.disks = disks
    }

    /// In words for a person: what, of which disks, where.
    package var text: String {
        let what =
            switch cause {
            case .altered: "its files do not hold what was written to them"
            case .unreadable: "its files cannot be read"
            case .differs: "it is not what its source held at that instant"
            }
        guard !disks.isEmpty else { return "the VM's definition or firmware state in it is damaged" }
        return "\(what): " + disks.map(\.text).joined(separator: "; ")
    }
}

/// The damaged places of one disk.
package struct DamagedDisk: Codable, Hashable, Sendable {
    /// Ranges that are listed.
    package static let rangeLimit = 16

    package var target: String
    /// Bytes that are damaged, in whole blocks.
    package var bytes: UInt64
    /// Offset and length in bytes, at most `rangeLimit` of them, each as a pair.
    package var ranges: [[UInt64]]
    /// More places than are listed.
    package var more: Int

    package init(target: String, bytes: UInt64, ranges: [[UInt64]], more: Int = 0) {
        self.target = target
        self.bytes = bytes
        self.ranges = ranges
        self.more = more
    }

    package var text: String {
        let places = ranges.prefix(4).map { "\($0.first ?? 0)+\($0.last ?? 0)" }.joined(separator: ", ")
        let rest = max(0, ranges.count - 4) + more
        return "\(target) \(bytes) bytes at \(places)" + (rest > 0 ? " and \(rest) more places" : "")
    }
}
