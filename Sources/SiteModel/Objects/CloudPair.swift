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
    /// How far the pair is set up; nil in pairs from before this was recorded.
    package var state: PairingState?
    /// Names of the hosts that did not answer when the pair was last set up.
    package var unready: [String]?

    package init(id: String, name: String, primary: String, recovery: String, policy: String) {
        self.id = id
        self.name = name
        self.primary = primary
        self.recovery = recovery
        self.policy = policy
    }
}

/// How far a pair of clouds is set up.
package enum PairingState: String, Codable, Hashable, Sendable, CaseIterable {
    /// Every host of both clouds answered and is ready to replicate.
    case paired
    /// Some host did not answer: VMs on it, or meant for it, cannot be protected until it does.
    case incomplete
}
