/// Where the NICs of replicas are connected: one source network of a cloud to one network of the paired cloud.
package struct NetworkMapping: SiteObject {
    package static let kind = "network-mapping"
    package var id: String
    /// Name of the source network.
    package var name: String
    package var sourceCloud: String
    package var parent: String? { sourceCloud }
    package var targetCloud: String
    package var targetNetwork: String

    package init(id: String, sourceNetwork: String, sourceCloud: String, targetCloud: String, targetNetwork: String) {
        self.id = id
        self.name = sourceNetwork
        self.sourceCloud = sourceCloud
        self.targetCloud = targetCloud
        self.targetNetwork = targetNetwork
    }
}

extension NetworkMapping: Checkable {
    package var violations: [FieldViolation] {
        var found = [FieldCheck.name(name, "from"), FieldCheck.name(targetNetwork, "to")]
        if sourceCloud == targetCloud, name == targetNetwork {
            found.append(FieldViolation("to", given: FieldCheck.shown(targetNetwork), allowed: "another network"))
        }
        return found.compactMap { $0 }
    }
}
