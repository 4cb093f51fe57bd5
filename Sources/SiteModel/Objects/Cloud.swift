/// A named group of hosts on one server: the unit that is paired and given a policy.
package struct Cloud: SiteObject {
    package static let kind = "cloud"
    package var id: String
    package var name: String
    package var server: String
    package var parent: String? { server }
    /// Ids of the hosts, in order of preference for placement.
    package var hosts: [String]
    /// Ids of the host clusters, placed on after the hosts; nil when there are none.
    package var clusters: [String]?

    package init(id: String, name: String, server: String, hosts: [String], clusters: [String]? = nil) {
        self.id = id
        self.name = name
        self.server = server
        self.hosts = hosts
        self.clusters = clusters
    }

    /// Every host of the cloud, each once: its own, then those of its clusters.
    package func allHosts(in clusters: [HostCluster]) -> [String] {
        var seen: Set<String> = []
        let members = (self.clusters ?? []).flatMap { id in clusters.first { $0.id == id }?.hosts ?? [] }
        return (hosts + members).filter { seen.insert($0).inserted }
    }
}

extension Cloud: Checkable {
    package var violations: [FieldViolation] {
        [
            FieldCheck.name(name), FieldCheck.distinct(hosts, "hosts"),
            FieldCheck.distinct(clusters ?? [], "clusters"),
        ].compactMap { $0 }
    }
}
