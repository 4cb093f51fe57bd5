package import SiteModel

/// What a site knows about a relationship whose points it holds, or has held: the one record that says which files count.
///
/// Enough to bring the VM up with nothing else at hand. Names of files are relative to the relationship's directory.
package struct Manifest: Codable, Sendable, Equatable {
    package static let currentVersion = 1

    package var formatVersion = Manifest.currentVersion
    package var relationship: String
    package var vmName: String
    package var vmUUID: String
    /// The ownership this site knows of: who may write the VM's disks, since which failover.
    package var epoch: Int
    package var owner: String
    /// Set by the first point, or by the adoption of the site's own former disks.
    package var disks: [StoredDisk] = []
    /// The generation that the disks' bases held when they were adopted; nil for a first copy, or if unknown.
    package var baseGeneration: String?
    /// The epoch at which the bases were adopted; nil for bases made by a first copy.
    package var baseEpoch: Int?
    /// Oldest first.
    package var points: [RecoveryPointRecord] = []
    /// Files that are points no more and still lie beneath one, oldest first.
    package var layers: [LayerRecord] = []
    /// Extent maps of points whose data was dropped, oldest first.
    package var retainedMaps: [RetainedMap] = []
    package var boots: [BootOverlay] = []
    /// Files of an earlier lineage, kept until a point of the present one is whole.
    package var superseded: [String] = []
    /// The least number that the next point may get; above all that were used here, across changes of direction too.
    package var nextNumber = 1
    /// Counts up with every file that may have to replace one of the same purpose.
    package var serial = 1
    /// What the vault knew of the VM's replication when the newest point was made, as the engine wrote it.
    ///
    /// Nil in a manifest of an older version.
    package var context: String?
    /// A first copy that is made in legs and is no point yet; nil when none is.
    package var growing: GrowingBase?
    /// When protection ended with these points kept: from then on they show a VM that has gone on elsewhere, or without them.
    ///
    /// Nil while they are points of a VM that is protected. A new point, or the adoption of disks, begins anew.
    package var releasedAt: Timestamp?
    /// What of the layers is known not to be what it must be; nil when nothing is.
    package var damage: [LayerDamage]?
    /// The generation that is being folded into the base: its file may be empty already.
    package var folding: String?
    /// What the former owner's disks hold that the VM went on without; nil when there is nothing, or it was given up.
    package var divergence: StoredDivergence?

    package init(relationship: String, vmName: String, vmUUID: String, epoch: Int, owner: String) {
        self.relationship = relationship
        self.vmName = vmName
        self.vmUUID = vmUUID
        self.epoch = epoch
        self.owner = owner
    }

    /// The newest recovery point.
    package var newest: RecoveryPointRecord? { points.last }

    /// The size of a disk at a generation, in bytes.
    package func size(of disk: PointDisk) -> UInt64? {
        disk.size ?? disks.first { $0.target == disk.target }?.size
    }

    /// What the next point of each disk stands on: the newest point's disks, or adopted ones before the first.
    package var newestDisks: [DiskPlan] {
        guard let newest else { return disks.map { DiskPlan(target: $0.target, size: $0.size) } }
        return newest.disks.compactMap { disk in size(of: disk).map { DiskPlan(target: disk.target, size: $0) } }
    }

    /// The point of a generation, if it is (still) one.
    package func point(_ generation: String) -> RecoveryPointRecord? { points.first { $0.generation == generation } }
}

/// One disk that the VM has, or had at one of the points, and what its chain stands on.
package struct StoredDisk: Codable, Sendable, Equatable {
    package var target: String
    /// Bytes of the base; points above it may be of another size.
    package var size: UInt64
    package var base: BaseImage
}

/// The image at the bottom of a disk's chain, as far as this store is concerned.
package struct BaseImage: Codable, Sendable, Equatable {
    /// A file name in the directory; an absolute path when `external`.
    package var path: String
    package var format: ImageFormat
    /// A disk of the VM from a time when this site owned it: read, never written and never deleted here.
    package var external: Bool
}

/// One whole, consistent state of all disks.
package struct RecoveryPointRecord: Codable, Sendable, Equatable {
    package var generation: String
    /// The generation that this one was made from; nil for a first copy.
    package var parent: String?
    package var number: Int
    package var time: Timestamp
    package var kind: PointKind
    package var disks: [PointDisk]
    /// The generation whose files these stand on; nil when that is the base.
    package var over: String?
    /// Name of the file with the inactive domain XML.
    package var domainXML: String
    /// What the VM kept outside its disks; nil when that was nothing, and in a manifest of an older version.
    package var firmware: FirmwareRecord?
    /// XXH3-128 of that file; nil in a manifest of an older version.
    package var domainSum: String?
    /// When all of it was last read and was as it had been written; nil when nobody has looked.
    package var checkedAt: Timestamp?

    var layer: LayerRecord { LayerRecord(generation: generation, number: number, disks: disks, over: over) }
}

/// The data of one generation in the chain, point or not.
package struct LayerRecord: Codable, Sendable, Equatable {
    package var generation: String
    package var number: Int
    package var disks: [PointDisk]
    package var over: String?
    /// The content has gone into the base: the files are empty overlays.
    ///
    /// Nil for others, and in a manifest of an older version.
    package var isFolded: Bool?
}

/// One disk's part of a point.
package struct PointDisk: Codable, Sendable, Equatable {
    package var target: String
    package var file: String
    package var format: ImageFormat
    /// Bytes on the file system.
    package var bytes: UInt64
    /// Name of the file with the extents that this generation changed.
    package var map: String
    /// xxh128 of the transferred content as the data path computed it; nil once the file holds a merger of points.
    package var checksum: String?
    /// Bytes of the disk as the VM saw it then; nil in a manifest of an older version, where a disk never changed its size.
    package var size: UInt64?
    /// The file says something of every byte, so that nothing beneath it is read: the first of a disk that was added.
    ///
    /// Nil for others.
    package var isWhole: Bool?
    /// Name of the file with the checksums of the blocks in the image; nil when it holds none, or an older version wrote it.
    package var sums: String?

    /// Names of all its files.
    var files: [String] { [file, map] + (sums.map { [$0] } ?? []) }
}

/// Blocks of a layer's disk that are not what they must be.
///
/// They are in every point that stands on the layer, up to the one that holds newer blocks there.
package struct LayerDamage: Codable, Sendable, Equatable {
    package var generation: String
    /// Nil when it is the domain XML, which is the point's own.
    package var target: String?
    package var ranges: [ByteRange]
    package var cause: PointDamage.Cause
    package var at: Timestamp
}

/// The extents of a point whose data is gone: what a reverse copy has to send because of it.
package struct RetainedMap: Codable, Sendable, Equatable {
    package var generation: String
    package var number: Int
    /// File names by disk target.
    package var maps: [String: String]
}

/// What a boot overlay is for.
package enum BootPurpose: String, Codable, Sendable, Hashable {
    /// The disks of the failed-over VM.
    case failover = "boot"
    /// The disks of a test VM.
    case test

    /// The purpose that an epoch alone tells: ownership begins at epoch 1, so 0 is a test.
    package init(epoch: Int) { self = epoch == 0 ? .test : .failover }
}

/// Images over a point that a VM writes to.
package struct BootOverlay: Codable, Sendable, Equatable {
    package var purpose: BootPurpose
    package var epoch: Int
    /// The point that it stands on.
    package var generation: String
    package var disks: [BootDisk]
}

/// One disk's image of a boot overlay.
package struct BootDisk: Codable, Sendable, Equatable {
    package var target: String
    /// File name in the relationship's directory.
    package var file: String
}
