/// Where replicas are kept: a class of the source's server to a class of the same server or another (reference 1.9).
package struct StorageMapping: SiteObject {
    package static let kind = "storage-mapping"
    package var id: String
    /// Id of the class whose disks it is about.
    package var source: String
    /// Name of that class: a class maps to one class at most.
    package var name: String
    package var parent: String? { source }
    /// Id of the class that replicas go to.
    package var target: String

    package init(id: String, source: StorageClass, target: StorageClass) {
        self.id = id
        self.source = source.id
        self.name = source.name
        self.target = target.id
    }
}
