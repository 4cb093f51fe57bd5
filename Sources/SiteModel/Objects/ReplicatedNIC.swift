/// One NIC of a replicated VM: what it was connected to at home, and what the last failover away from there made of it.
package struct ReplicatedNIC: Codable, Hashable, Sendable {
    package var mac: String
    /// Network at home when it last left there.
    package var home: String?
    /// Network that it was given at the other side; nil when that left it unconnected.
    package var away: String?

    package init(mac: String, home: String?, away: String?) {
        self.mac = mac
        self.home = home
        self.away = away
    }
}
