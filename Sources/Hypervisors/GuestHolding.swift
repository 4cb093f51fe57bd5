package import SiteModel

/// Keeping a guest from writing for a moment, and letting it go again.
package protocol GuestHolding: Sendable {
    /// Freezes the file systems of a running guest through its agent, or stops its CPUs.
    ///
    /// - Parameter limit: how long the guest's agent may take to answer.
    /// - Throws: `HypervisorError`; of code `unsupported` when the guest is certainly not held: no agent is connected, it has
    ///   frozen nothing, or the VM does not run. After any other error it may be held, now or a moment later.
    func hold(uuid: String, as hold: GuestHold, limit: Duration) async throws

    /// Lets the guest go; returns whether it was held until now.
    ///
    /// Nothing happens to one that is not held, is off or unknown. A pause that is not a user's (a full disk's, a start's) stays.
    func letGo(uuid: String, from hold: GuestHold) async throws -> Bool

    /// The same host by a connection of its own, open already: its calls wait for none of this one's.
    func apart() async throws -> any Hypervisor
}

/// A hypervisor that holds no guests.
extension Hypervisor {
    package func hold(uuid: String, as hold: GuestHold, limit: Duration) async throws {
        throw HypervisorError(
            .unsupported, "this host's driver holds no guests", hint: "points are crash-consistent there")
    }

    package func letGo(uuid: String, from hold: GuestHold) async throws -> Bool { false }

    package func apart() async throws -> any Hypervisor { self }
}
