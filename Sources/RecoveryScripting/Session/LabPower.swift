/// An error of what stands behind a power, with what happened and what to do told apart.
package protocol PowerError: Error {
    var message: String { get }
    var advice: String? { get }
}

/// What scripts may do to the lab, for demonstrations and tests; granted by name.
package protocol LabPower: Sendable {
    /// How a site is reached and fenced, whether it is up or not.
    func site(_ name: String) async throws -> LabSite
    /// The IPv4 address of a guest.
    func address(ofGuest name: String) async throws -> String
    /// Records in the guest's log when it last powered itself off at that site, as its console says; nil if it never did.
    func recordsAtPowerOff(ofGuest name: String, site: String) async throws -> Int64?
    /// Ends a site at one instant: guests, hypervisor, agent, disks.
    func lose(_ site: String) async throws
    /// Brings a lost site back; its guests stay off.
    func restore(_ site: String) async throws
}

/// One of the lab's sites, in the words of `vault:host`.
package struct LabSite: Sendable, Hashable {
    package var name: String
    package var uri: String
    package var agent: String
    package var address: String
    package var store: String
    package var fence: [String]

    package init(name: String, uri: String, agent: String, address: String, store: String, fence: [String]) {
        self.name = name
        self.uri = uri
        self.agent = agent
        self.address = address
        self.store = store
        self.fence = fence
    }
}
