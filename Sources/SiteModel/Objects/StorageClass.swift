/// A named class of storage on one server: the places that belong to it (reference 1.9).
package struct StorageClass: SiteObject {
    package static let kind = "storage-class"
    package var id: String
    package var name: String
    package var server: String
    package var parent: String? { server }
    package var locations: [StorageLocation]

    package init(id: String, name: String, server: String, locations: [StorageLocation]) {
        self.id = id
        self.name = name
        self.server = server
        self.locations = locations
    }

    /// Whether a file at a host lies in one of the class's places.
    package func holds(_ path: String, at host: String) -> Bool {
        locations.contains { $0.host == host && $0.holds(path) }
    }
}

/// A folder at a host.
///
/// Any folder tells the class of the disks below it; points are kept in the one folder that is the host's store.
package struct StorageLocation: Codable, Hashable, Sendable {
    package var host: String
    package var path: String

    package init(host: String, path: String) {
        self.host = host
        self.path = path
    }

    func holds(_ file: String) -> Bool { file == path || file.hasPrefix(path.hasSuffix("/") ? path : path + "/") }
}

extension StorageClass: Checkable {
    package var violations: [FieldViolation] {
        var found = [FieldCheck.name(name)]
        found += locations.map { FieldCheck.path($0.path, "locations") }
        found.append(FieldCheck.distinct(locations.map { "\($0.host):\($0.path)" }, "locations"))
        if locations.isEmpty { found.append(FieldViolation("locations", given: "empty", allowed: "at least one")) }
        return found.compactMap { $0 }
    }
}
