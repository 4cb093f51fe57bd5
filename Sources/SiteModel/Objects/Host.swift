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

extension Host: Checkable {
    package var violations: [FieldViolation] {
        [
            FieldCheck.name(name), FieldCheck.name(site, "site"), uriViolation,
            FieldCheck.path(agentSocket, "agent"), FieldCheck.endpoint(agentAddress, "address"),
            FieldCheck.path(store, "store"), fenceViolation,
        ].compactMap { $0 }
    }

    private var uriViolation: FieldViolation? {
        let scheme = uri.prefix { $0.isASCII && ($0.isLetter || $0 == "+") }
        guard scheme.isEmpty || !uri.dropFirst(scheme.count).hasPrefix("://") || FieldCheck.text(uri, "uri") != nil
        else { return nil }
        return FieldViolation(
            "uri", given: FieldCheck.shown(uri), allowed: "a libvirt connection URI such as \"qemu:///system\"")
    }

    private var fenceViolation: FieldViolation? {
        if let fault = fenceAgent?.fault {
            return FieldViolation("fence", given: FieldCheck.shown(fault), allowed: "a fence agent with its options")
        }
        guard let program = fence.first else { return nil }
        let allowed = "an absolute path to a program, then its arguments, none with a NUL"
        let plain = program.hasPrefix("/") && fence.allSatisfy { !$0.unicodeScalars.contains("\0") }
        return plain ? nil : FieldViolation("fence", given: FieldCheck.shown(program), allowed: allowed)
    }
}
