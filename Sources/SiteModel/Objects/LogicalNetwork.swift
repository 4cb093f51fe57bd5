/// A network as a site is planned with: VM networks are linked to it, clouds are associated with it (reference 1.7).
package struct LogicalNetwork: SiteObject {
    package static let kind = "logical-network"
    package var id: String
    package var name: String
    package var server: String
    package var parent: String? { server }
    package var isolation: NetworkIsolation
    /// Ids of the clouds whose hosts carry it.
    package var clouds: [String]

    package init(
        id: String, name: String, server: String, isolation: NetworkIsolation = .none, clouds: [String] = []
    ) {
        self.id = id
        self.name = name
        self.server = server
        self.isolation = isolation
        self.clouds = clouds
    }
}

/// How the VM networks of a logical network are kept apart.
package enum NetworkIsolation: String, Codable, Hashable, Sendable, CaseIterable {
    /// Not at all: all of them are one.
    case none
    case vlan
    /// By an overlay (VXLAN, Geneve): addresses may repeat, and only a pool hands them out.
    case overlay
}

extension LogicalNetwork: Checkable {
    package var violations: [FieldViolation] {
        [FieldCheck.name(name), FieldCheck.distinct(clouds, "clouds")].compactMap { $0 }
    }
}
