// A first copy that is carried: written to a folder at the source, taken in from a folder at the target.

package import SiteModel

package struct ExportPoint: Codable, Hashable, Sendable {
    package var point: OpenPoint
    /// An existing folder, in which one for this VM is made.
    package var folder: String
    /// Name of the VM's folder.
    package var name: String
    /// The files that the VM writes at the source: they tell how much space the copy takes.
    package var images: [DiskImage]

    package init(point: OpenPoint, folder: String, name: String, images: [DiskImage]) {
        self.point = point
        self.folder = folder
        self.name = name
        self.images = images
    }
}

package struct ImportPoint: Codable, Hashable, Sendable {
    package var relationship: String
    package var vm: VMIdentity
    package var generation: String
    package var disks: [DiskGeometry]
    /// The folder that the VM's was carried to, and the name of the VM's.
    package var folder: String
    package var name: String
    package var epoch: Int
    package var owner: String

    package init(
        relationship: String, vm: VMIdentity, generation: String, disks: [DiskGeometry], folder: String, name: String,
        epoch: Int, owner: String
    ) {
        self.relationship = relationship
        self.vm = vm
        self.generation = generation
        self.disks = disks
        self.folder = folder
        self.name = name
        self.epoch = epoch
        self.owner = owner
    }
}
