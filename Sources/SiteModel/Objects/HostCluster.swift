/// A named group of hosts that are reached as one (reference 1.5).
///
/// Peers know the cluster by its access name; a replica that is sent to it is placed on one of its healthy hosts, always the
/// same one for the same VM as long as the same hosts are healthy.
package struct HostCluster: SiteObject {
    package static let kind = "cluster"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    /// Ids of the hosts; a host is in one cluster at most.
    package var hosts: [String]
    /// The one name by which peers and clients know the cluster.
    package var accessName: String

    package init(id: String, name: String, hosts: [String], accessName: String) {
        self.id = id
        self.name = name
        self.hosts = hosts
        self.accessName = accessName
    }
}

extension HostCluster: Checkable {
    package var violations: [FieldViolation] {
        var found = [
            FieldCheck.name(name), FieldCheck.name(accessName, "access_name"), FieldCheck.distinct(hosts, "hosts"),
        ]
        if hosts.isEmpty { found.append(FieldViolation("hosts", given: "empty", allowed: "at least one host")) }
        return found.compactMap { $0 }
    }
}
