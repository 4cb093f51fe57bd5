/// What the former owner's disks hold that the VM went on without, as the vault knows it.
///
/// The blocks lie in those disks and are kept until the next failover to that host is committed, or they are given up.
package struct KeptDivergence: Codable, Hashable, Sendable {
    /// The host whose disks they are.
    package var host: String
    /// When the sides parted.
    package var at: Timestamp
    /// Bytes by disk.
    package var bytes: [String: UInt64]
    /// False where it is only known that what diverged is among these.
    package var isExact: Bool

    package init(host: String, at: Timestamp, bytes: [String: UInt64], isExact: Bool) {
        self.host = host
        self.at = at
        self.bytes = bytes
        self.isExact = isExact
    }

    package var totalBytes: UInt64 { bytes.values.reduce(0, +) }
}
