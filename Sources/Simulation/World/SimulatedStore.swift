package import BlockReplication
import SiteModel

/// What an agent keeps of one relationship below its store.
package struct SimulatedStore: Sendable {
    package var vm: VMIdentity
    package var owner = ""
    package var epoch = 0
    /// Geometry of the disks, once it is known.
    package var disks: [DiskGeometry] = []
    /// Oldest first: the points, and layers between and beneath them that are points no more.
    package var layers: [Layer] = []
    package var draft: Draft?
    /// A first copy in legs that is no point yet; its content lies in files of their own.
    package var growing: GrowingBase?
    /// Disks of the VM's own that the points of the present direction stand on.
    package var adopted: [String: String] = [:]
    package var adoptedAtEpoch: Int?
    package var boots: [Int: Boot] = [:]
    /// Maps of points whose data was dropped.
    package var retired: [RetiredMap] = []
    package var nextNumber = 1
    /// What the adopted disks hold besides.
    package var divergence: (epoch: Int, list: Divergence)?

    package init(vm: VMIdentity) {
        self.vm = vm
    }

    /// One point, or what is left of one.
    package struct Layer: Sendable {
        package var summary: PointSummary
        package var isPoint = true
        /// By disk.
        package var files: [String: String]
        package var extents: [String: Set<Int>]
        package var xml: String
        package var firmware: FirmwareState?

        package var generation: String { summary.generation }
    }

    package struct RetiredMap: Sendable {
        package var generation: String
        package var number: Int
        package var extents: [String: Set<Int>]
    }

    package struct Draft: Sendable {
        package var request: OpenPoint
        package var token: String
        package var received: [String: Received] = [:]
        package var isSent = false

        package var bytes: UInt64 { received.values.reduce(0) { $0 + $1.extents.byteCount } }
    }

    package struct Received: Sendable {
        package var extents: VersionedExtents
        package var granules: Set<Int>
        package var mark: WriteMark
        package var checksum: String
    }

    package struct Boot: Sendable {
        package var generation: String
        package var images: [BootImage]
    }

    package var points: [Layer] { layers.filter(\.isPoint) }
    package var newest: Layer? { layers.last { $0.isPoint } }

    package func point(_ generation: String) -> Layer? { layers.first { $0.isPoint && $0.generation == generation } }

    /// The file that the next point of a disk stands on.
    package func top(of disk: String) -> String? { newestFiles[disk] }

    /// The files that the next point stands on, by disk: the newest point's, or adopted ones before the first.
    var newestFiles: [String: String] { newest?.files ?? adopted }
}
