package import SiteModel

/// What a former owner's disks hold that the VM went on without: blocks of theirs that no point of the new owner has.
///
/// The blocks themselves lie in the adopted disks, beneath the first reversed point; this says which ones they are.
package struct StoredDivergence: Codable, Sendable, Equatable {
    package struct Disk: Codable, Sendable, Equatable {
        package var target: String
        /// Name of the file with the extents; nil while it is not known which they are.
        package var map: String?
    }

    /// The epoch at which the direction was reversed.
    package var epoch: Int
    /// When the two sides parted: the failover's time.
    package var at: Timestamp
    package var disks: [Disk]
    /// Both sides knew what they had written; else the extents are those that the first reversed point has replaced.
    package var isExact: Bool

    func check() throws {
        for disk in disks {
            try StoreNames.checkTarget(disk.target)
            guard disk.map.map(StoreNames.isSafeFileName) ?? true else {
                throw ReplicationError(
                    .damaged, "a file name is not allowed", hint: "restore the manifest from the vault or another copy")
            }
        }
    }
}
