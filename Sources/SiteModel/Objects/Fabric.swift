// The fabric: what exists at the sites. reference: site recovery objects 1.3 to 1.8.

/// A hypervisor: a libvirt connection, the agent beside it, and where points are kept there.
package struct Host: SiteObject {
    package static let kind = "host"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    /// The place that fails as a whole ("a", "b", "berlin").
    package var site: String
    /// libvirt connection URI.
    package var uri: String
    /// Path of the agent's control socket.
    package var agentSocket: String
    /// Address, as `host:port`, at which this host's agent receives data from other agents.
    package var agentAddress: String
    /// Folder at the host that holds recovery points.
    package var store: String
    /// Command, as an argument vector, that ends this host for certain; exit status 0 is proof.
    ///
    /// Empty when there is none.
    package var fence: [String]
    /// The fence agent that ends this host, in place of a command.
    package var fenceAgent: FenceAgent?

    /// Whether there is a way to end this host for certain.
    package var hasFence: Bool { !fence.isEmpty || fenceAgent != nil }

    package init(
        id: String, name: String, site: String, uri: String, agentSocket: String, agentAddress: String, store: String,
        fence: [String] = [], fenceAgent: FenceAgent? = nil
    ) {
        self.id = id
        self.name = name
        self.site = site
        self.uri = uri
        self.agentSocket = agentSocket
        self.agentAddress = agentAddress
        self.store = store
        self.fence = fence
        self.fenceAgent = fenceAgent
    }
}

/// A management server: owns clouds.
///
/// It may itself run in a VM, which hosts replicate directly.
package struct Server: SiteObject {
    package static let kind = "server"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    /// Name of the VM in which the server runs; nil when it does not run in one.
    package var managementVM: String?

    package init(id: String, name: String, managementVM: String?) {
        self.id = id
        self.name = name
        self.managementVM = managementVM
    }
}

/// A named group of hosts on one server: the unit that is paired and given a policy.
package struct Cloud: SiteObject {
    package static let kind = "cloud"
    package var id: String
    package var name: String
    package var server: String
    package var parent: String? { server }
    /// Ids of the hosts, in order of preference for placement.
    package var hosts: [String]

    package init(id: String, name: String, server: String, hosts: [String]) {
        self.id = id
        self.name = name
        self.server = server
        self.hosts = hosts
    }
}

/// Two clouds joined for replication under a policy.
///
/// A cloud is in one pair at most.
package struct CloudPair: SiteObject {
    package static let kind = "pair"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    package var primary: String
    package var recovery: String
    package var policy: String

    package init(id: String, name: String, primary: String, recovery: String, policy: String) {
        self.id = id
        self.name = name
        self.primary = primary
        self.recovery = recovery
        self.policy = policy
    }
}

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
