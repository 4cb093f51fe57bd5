import Glibc

/// A site's network namespace, its bridges, and the link between the sites.
///
/// Nothing of it is in the machine's own.
struct SiteNetwork: Sendable {
    static let link = "wan0"
    static let gateway = "10.77.0.1"
    static let subnet = "10.77.0.0/24"

    let layout: SiteLayout

    /// Makes the namespace and the bridges, as far as they are not there.
    func ensure() async throws(LabError) {
        try await ensureNamespace()
        for bridge in layout.name.bridges where try await !exists(bridge.bridge) { try await add(bridge) }
    }

    /// Connects this site with the other, whose namespace must exist, and brings this end up.
    func ensureLink(to other: SiteNetwork) async throws(LabError) {
        if try await !exists(Self.link) {
            let peer = ["peer", "name", Self.link, "netns", other.layout.networkNamespace]
            try await ip(["link", "add", Self.link, "type", "veth"] + peer)
            for site in [self, other] {
                try await site.ip(["address", "add", "\(site.layout.name.dataAddress)/30", "dev", Self.link])
                try await site.ip(["link", "set", Self.link, "up"])
            }
        }
        try await ip(["link", "set", Self.link, "up"])
    }

    /// Cuts the site off.
    ///
    /// The other site hears nothing more from it, as when a data centre goes dark.
    func cut() async throws(LabError) {
        guard Self.isNamespace(layout.networkHandle), try await exists(Self.link) else { return }
        try await ip(["link", "set", Self.link, "down"])
    }

    /// Deletes the namespace and with it all its devices.
    func remove() async throws(LabError) {
        if Self.isNamespace(layout.networkHandle) {
            try await Command(["ip", "netns", "delete", layout.networkNamespace]).output()
        } else {
            unlink(layout.networkHandle)
        }
    }

    /// Whether a path is the handle of a live namespace: a file left over from before a reboot is not.
    static func isNamespace(_ path: String) -> Bool {
        MountTable(pid: getpid())?.contains(path) ?? false
    }

    private func ensureNamespace() async throws(LabError) {
        if Self.isNamespace(layout.networkHandle) { return }
        unlink(layout.networkHandle)
        try await Command(["ip", "netns", "add", layout.networkNamespace])
            .output(hint: "network namespaces need root and a kernel with CONFIG_NET_NS")
        try await ip(["link", "set", "lo", "up"])
    }

    private func add(_ bridge: SiteBridge) async throws(LabError) {
        try await ip(["link", "add", bridge.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"])
        let address = ["address", "add", "\(Self.gateway)/24", "dev", bridge.bridge]
        try await ip(bridge.isolated ? address + ["noprefixroute"] : address)
        try await ip(["link", "set", bridge.bridge, "up"])
        // A test VM keeps its address, so the site has the same subnet twice. Only who asks for the isolated bridge by
        // name (SO_BINDTODEVICE) reaches the test network; everything else goes to production.
        guard bridge.isolated else { return }
        try await ip(["route", "add", Self.subnet, "dev", bridge.bridge, "table", "77"])
        try await ip(["rule", "add", "oif", bridge.bridge, "table", "77"])
        let loosen = "for f in all \"$1\"; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done"
        try await Command(["nsenter", "--net=\(layout.networkHandle)", "sh", "-c", loosen, "sh", bridge.bridge])
            .output()
    }

    private func exists(_ device: String) async throws(LabError) -> Bool {
        try await Command(["ip", "-n", layout.networkNamespace, "link", "show", "dev", device]).result().succeeded
    }

    private func ip(_ words: [String]) async throws(LabError) {
        try await Command(["ip", "-n", layout.networkNamespace] + words).output()
    }
}
